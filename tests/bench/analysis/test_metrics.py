"""What a launch pair says of a metric."""

from __future__ import annotations

import math

import pytest

from bench.analysis.metrics import METRICS, MOST, level, log_ratio
from bench.gate.decision import LEAST_SHARE
from bench.records.launch_figures import Figures


def y(metric: str, base: tuple[float, ...], head: tuple[float, ...]) -> float:
    return log_ratio(metric, Figures("a", {metric: base}), Figures("b", {metric: head}))


def test_a_single_figure_that_a_busy_machine_held_up_counts_for_a_factor_of_two_at_most():
    assert y("first-step", (1.0,), (9.0,)) == MOST == math.log(2)
    assert y("first-step", (9.0,), (1.0,)) == -MOST
    assert y("host-memory", (1.0,), (1.3,)) == pytest.approx(math.log(1.3))


def test_a_first_step_of_milliseconds_may_be_twice_as_long():
    """Twice 2 ms is nobody's loss and less than half the margin, below which nothing is called slower."""
    least = LEAST_SHARE * math.log1p(METRICS["first-step"].margin)
    assert 0 < y("first-step", (0.002,), (0.004,)) < least
    assert y("first-step", (0.5,), (0.65,)) == pytest.approx(math.log(0.67 / 0.52))
    apart = [level("first-step", Figures("", {"first-step": (seconds,)})) for seconds in (0.002, 0.004)]
    assert apart[1] - apart[0] == pytest.approx(y("first-step", (0.002,), (0.004,)))


def test_of_several_rounds_the_median_is_told_as_it_is():
    assert y("pipeline", (1.0, 1.0, 1.0), (9.0, 3.0, 2.0)) == pytest.approx(math.log(3))
