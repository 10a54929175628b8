"""Every backend behaves as `backends.base` says; the facts come from the process that gathered the evidence."""

from __future__ import annotations

import numpy as np
import pytest

from backends.values import Group, Order
from tests.backends.sessions import EACH, make_case

pytestmark = pytest.mark.slow

#: The frameworks that are loaded in each backend's process.
IMPORTED = {
    "pytorch": ["torch"],
    "tensorflow": ["tensorflow", "keras"],
    "keras": ["tensorflow", "keras"],
    "jax": ["jax", "flax"],
    "lightning": ["torch", "pytorch_lightning"],
    "keras-torch": ["torch", "keras"],
    "keras-jax": ["keras", "jax"],
}


@pytest.fixture(params=EACH)
def facts(evidence, request) -> dict:
    return evidence.facts(request.param)


def test_reset_goes_back_to_the_start_exactly(facts):
    assert facts["a step moves the head"]
    assert facts["reset restores the head"]
    assert facts["reset restores the backbone"]
    assert facts["reset forgets the momentum"]


def test_computing_a_gradient_does_not_train(facts):
    assert facts["a gradient changes nothing"]


@pytest.mark.parametrize(("last", "steps"), [("kept", 6), ("dropped", 4)])
def test_the_last_partial_batch_is_kept_or_dropped_in_each_epoch(facts, last, steps):
    """Ten images in batches of four, twice."""
    assert facts[f"{last}: steps"] == steps
    assert facts[f"{last}: the head is the same"]
    assert facts[f"{last}: one step more"] == "StopIteration"


@pytest.mark.parametrize("last", ["kept", "dropped"])
def test_a_mean_loss_counts_images_not_batches(facts, last):
    assert facts[f"{last}: mean loss"] == pytest.approx(facts[f"{last}: mean loss, step by step"], rel=1e-6)


@pytest.mark.parametrize("last", ["kept", "dropped"])
@pytest.mark.parametrize("backend", EACH)
def test_the_head_is_trained_on_features_as_on_images(evidence, backend, last):
    found = evidence.facts(backend, "head")
    assert found["logits"]
    assert found[f"{last}: the head is the same"]
    assert found[f"{last}: mean loss"] == pytest.approx(found[f"{last}: mean loss, step by step"], rel=1e-5)
    assert found[f"{last}: one step more"] == "StopIteration"


def test_training_rests_between_calls_and_ends_where_the_order_ends(facts):
    assert facts["rests between calls"]
    assert facts["more steps than are left"] == "StopIteration"
    assert facts["after close"] == "StopIteration"


@pytest.mark.parametrize("when", ["at once", "midway"])
def test_closing_early_and_twice_leaves_no_thread_and_no_process(facts, when):
    assert facts[f"closed {when}: left over"] == []


def test_batches_on_the_device_train_the_same_head_and_tell_the_same_mean_loss(facts):
    assert facts["on the device: the same head"]
    assert facts["on the device: the same loss"]


def test_an_error_in_training_is_raised_in_advance(facts):
    assert facts["a label that is not a class"] not in ("nothing", "StopIteration")


def test_an_unsupported_variant_is_refused_with_what_is_accepted(facts):
    assert facts["unsupported execution"].startswith(f"{facts['backend']} has no execution ")
    assert ": use " in facts["unsupported execution"]


def test_what_needs_a_gpu_is_refused_on_a_cpu(facts):
    expected = f"{facts['backend']}'s precision 'fp16' needs a GPU: use --device cuda"
    assert facts["unsupported precision"] == expected


def test_the_variant_is_resolved(facts):
    assert facts["threads"] == 1
    assert facts["device memory"] is None, "there is no GPU in use"


@pytest.mark.parametrize(
    ("backend", "frameworks"), [make_case(name, name, frameworks) for name, frameworks in IMPORTED.items()]
)
def test_backends_import_only_their_own_framework(evidence, backend, frameworks):
    assert evidence.facts(backend, "frameworks") == frameworks


def test_every_batch_has_the_rows_of_its_images_and_its_epoch_in_every_process():
    rows = np.arange(2 * 5, dtype=np.float32).reshape(2, 5, 1)
    order = Order(np.array([[3, 1, 4, 0, 2], [0, 1, 2, 3, 4], [4, 3, 2, 1, 0]]), 2, True, rows)
    batches = [[part.tolist() for part in batch] for batch in order.augmented_batches()]
    assert batches == [
        [[3, 1], [[3], [1]]],
        [[4, 0], [[4], [0]]],
        [[0, 1], [[5], [6]]],
        [[2, 3], [[7], [8]]],
        [[4, 3], [[4], [3]]],
        [[2, 1], [[2], [1]]],
    ]
    own = [order.share(Group(rank, 2)).augmented_batches() for rank in range(2)]
    for batch, first, second in zip(batches, *own, strict=True):
        assert batch == [[*a.tolist(), *b.tolist()] for a, b in zip(first, second, strict=True)]
    assert [number.tolist() for number in order.number_rows().batches()][2:4] == [[5, 6], [7, 8]]
    plain = Order(order.permutations, 2, True)
    assert [len(batch) for batch in plain.augmented_batches()] == [1] * 6
    with pytest.raises(ValueError, match="have no rows"):
        plain.number_rows()


def test_an_order_is_cut_into_batches_epoch_by_epoch():
    permutations = np.array([[3, 1, 4, 0, 2], [0, 1, 2, 3, 4]])
    kept, dropped = Order(permutations, 2, False), Order(permutations, 2, True)
    assert [b.tolist() for b in kept.batches()] == [[3, 1], [4, 0], [2], [0, 1], [2, 3], [4]]
    assert [b.tolist() for b in dropped.batches()] == [[3, 1], [4, 0], [0, 1], [2, 3]]
    assert (kept.steps, dropped.steps) == (6, 4)
