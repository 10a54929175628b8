"""The log-ratio of a launch pair, by metric."""

from __future__ import annotations

import math

import pytest

from bench.analysis.metrics import MAX_LOG_RATIO, METRICS, compute_log_ratio, log_level
from bench.gate.decision import LEAST_MARGIN_SHARE
from bench.records.launch_figures import LaunchFigures


def y(metric: str, base: tuple[float, ...], head: tuple[float, ...]) -> float:
    return compute_log_ratio(metric, LaunchFigures("a", {metric: base}), LaunchFigures("b", {metric: head}))


def test_a_metric_with_one_figure_per_launch_counts_for_a_factor_of_two_at_most():
    assert y("first-step", (1.0,), (9.0,)) == MAX_LOG_RATIO == math.log(2)
    assert y("first-step", (9.0,), (1.0,)) == -MAX_LOG_RATIO
    assert y("host-memory", (1.0,), (1.3,)) == pytest.approx(math.log(1.3))


def test_a_first_step_of_milliseconds_may_be_twice_as_long():
    """2 ms more is less than half the margin, and then the gate does not decide for slower."""
    least = LEAST_MARGIN_SHARE * math.log1p(METRICS["first-step"].margin)
    assert 0 < y("first-step", (0.002,), (0.004,)) < least
    assert y("first-step", (0.5,), (0.65,)) == pytest.approx(math.log(0.67 / 0.52))
    apart = [log_level("first-step", LaunchFigures("", {"first-step": (seconds,)})) for seconds in (0.002, 0.004)]
    assert apart[1] - apart[0] == pytest.approx(y("first-step", (0.002,), (0.004,)))


def test_of_several_rounds_the_median_is_not_limited():
    assert y("pipeline", (1.0, 1.0, 1.0), (9.0, 3.0, 2.0)) == pytest.approx(math.log(3))
