"""What counts as the same output of two functions, and how a difference is named."""

from __future__ import annotations

import numpy as np
import pytest

from bench.parity.output_comparison import compare_outputs

DRAW = np.random.default_rng(0)
LOGITS = DRAW.standard_normal((8, 10)).astype(np.float32)
FIRST = {"['loss']": np.asarray(2.3), "['logits']": LOGITS, "['step']": np.asarray(7), "['name']": np.asarray("sgd")}


def compare(tolerance: float = 1e-4, **changes: object):
    other = {**FIRST, **{f"[{name!r}]": np.asarray(value) for name, value in changes.items()}}
    return compare_outputs("test_jax", FIRST, other, tolerance)


def test_equal_outputs_are_the_same():
    found = compare(loss=np.float64(2.3), logits=LOGITS.astype(np.float64))
    assert (found.problems, found.difference, found.place) == ((), 0.0, "")


def test_a_small_difference_is_the_same_and_its_size_and_place_are_known():
    found = compare(loss=2.3 * (1 + 3e-5), logits=LOGITS + 1e-6)
    assert found.problems == ()
    assert found.place == "['loss']"
    assert found.difference == pytest.approx(3e-5, rel=1e-3)


def test_the_tolerance_decides():
    assert compare(loss=2.3 * 1.01).problems
    assert not compare(0.02, loss=2.3 * 1.01).problems


def test_the_largest_value_of_an_array_sets_the_scale():
    # The smallest of these logits differs by more than a hundredth of itself.
    small = LOGITS.copy()
    where = np.unravel_index(np.abs(LOGITS).argmin(), LOGITS.shape)
    small[where] *= 1.02
    assert abs(small[where] - LOGITS[where]) < 1e-4 * np.abs(LOGITS).max()
    assert not compare(logits=small).problems
    large = LOGITS.copy()
    large[3, 7] += 0.1
    (problem,) = compare(logits=large).problems
    assert problem.startswith("['logits']: ")
    assert "at [3, 7], 0.0" in problem
    assert problem.endswith("of the largest value")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"loss": 2.4}, "['loss']: 2.4 in place of 2.3, a relative difference of 0.042"),
        ({"loss": float("nan")}, "['loss']: nan in place of 2.3"),
        ({"loss": float("inf")}, "['loss']: inf in place of 2.3"),
        ({"loss": "None"}, "['loss']: None in place of 2.3"),
        ({"step": 8}, "['step']: 8 in place of 7"),
        ({"name": "adam"}, "['name']: 'adam' in place of 'sgd'"),
        ({"logits": LOGITS.T}, "['logits']: shape (10, 8) in place of (8, 10)"),
        ({"more": 1}, "only this one has ['more']"),
    ],
)
def test_what_differs_is_named(changes, problem):
    assert compare(**changes).problems == (problem,)


def test_what_the_second_one_lacks_is_named():
    assert compare_outputs("b", {"": np.asarray(1)}, {}, 1e-4).problems == ("the first one has the output",)


def test_integers_are_compared_exactly_and_the_first_difference_is_named():
    labels = np.arange(2**60, 2**60 + 5)
    other = labels.copy()
    other[[2, 4]] += 1
    (problem,) = compare_outputs("b", {"": labels}, {"": other}, 1e-4).problems
    assert problem == f"the output: 2 of 5 values, the first is {2**60 + 3} in place of {2**60 + 2} at [2]"


def test_what_is_no_number_in_both_is_equal():
    odd = np.array([np.nan, np.inf, -np.inf, 1.0])
    assert compare_outputs("b", {"": odd}, {"": odd * (1 + 1e-6)}, 1e-4).problems == ()
    assert compare_outputs("b", {"": odd}, {"": -odd}, 1e-4).problems
    assert compare_outputs("b", {"": np.zeros(3)}, {"": np.zeros(3)}, 0.0).problems == ()


def test_complex_numbers_are_compared_by_their_distance():
    assert not compare_outputs("b", {"": np.asarray(1 + 1j)}, {"": np.asarray(1 + 1.0001j)}, 1e-3).problems
    assert compare_outputs("b", {"": np.asarray(1 + 1j)}, {"": np.asarray(1 - 1j)}, 1e-3).problems
