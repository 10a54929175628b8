"""What a launch pair says of a metric."""

from __future__ import annotations

import math

import pytest

from bench.gate.figures import Figures
from bench.gate.metrics import MOST, log_ratio


def y(metric: str, base: tuple[float, ...], head: tuple[float, ...]) -> float:
    return log_ratio(metric, Figures("a", {metric: base}), Figures("b", {metric: head}))


def test_a_single_figure_that_a_busy_machine_held_up_counts_for_a_factor_of_two_at_most():
    assert y("first-step", (1.0,), (9.0,)) == MOST == math.log(2)
    assert y("first-step", (9.0,), (1.0,)) == -MOST
    assert y("first-step", (1.0,), (1.3,)) == pytest.approx(math.log(1.3))


def test_of_several_rounds_the_median_is_told_as_it_is():
    assert y("pipeline", (1.0, 1.0, 1.0), (9.0, 3.0, 2.0)) == pytest.approx(math.log(3))
