"""Which launch pairs have the figures of a start, and gates simulated from both kinds of pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.analysis.metrics import resolve_margins
from bench.gate import error_rates
from bench.gate.decision import ALPHA, Verdict
from bench.gate.error_rate_run import compute_pair_seconds, list_log_ratios
from bench.gate.error_rates import PairSeconds, simulate_gates
from bench.gate.judgement import START_UP_PAIRS, LaunchPair, judge_pairs, needs_start_up
from bench.records.launch_figures import LaunchFigures

MARGINS = resolve_margins(())


def make_pair(first_step: float | None, step: float = 0.0, seconds: float = 10.0) -> LaunchPair:
    """Make a pair whose head has these log-ratios; without a first step its arms started side by side."""

    def figures(scale: float) -> LaunchFigures:
        start = {} if first_step is None else {"first-step": (10.0 * math.exp(scale * first_step),)}
        return LaunchFigures("case", {"pipeline": (math.exp(scale * step),) * 3, **start})

    return LaunchPair(figures(0.0), figures(1.0), None, seconds, alone=first_step is not None)


def draw_pairs(numbers: range, spread: float, seed: int = 0) -> list[LaunchPair]:
    drawn = np.random.default_rng(seed).normal(size=(len(numbers), 2))
    alone = [number <= START_UP_PAIRS or number % 3 == 0 for number in numbers]
    return [
        make_pair(spread * start if one else None, 0.01 * step, 20.0 if one else 15.0)
        for one, (start, step) in zip(alone, drawn, strict=True)
    ]


def test_the_first_pairs_have_the_figures_of_a_start_and_those_after_them_until_it_has_a_verdict():
    steady = [make_pair(0.001 * (-1) ** number) for number in range(START_UP_PAIRS)]
    for count in range(START_UP_PAIRS):
        assert needs_start_up(steady[:count], MARGINS)
    beside = [make_pair(None)] * 2
    assert not needs_start_up([*steady, beside[0]], MARGINS), "nothing is decided before the first decision point"
    assert not needs_start_up([*steady, *beside], MARGINS)
    unsteady = [make_pair(0.3 * (-1) ** number) for number in range(START_UP_PAIRS)]
    assert needs_start_up([*unsteady, *beside], MARGINS)


def test_a_start_that_neither_arm_measures_needs_no_pair():
    assert not needs_start_up([make_pair(None)] * 6, MARGINS)


def test_a_verdict_on_the_start_comes_from_the_pairs_that_have_it():
    slower = [make_pair(0.5 + 0.001 * number) for number in range(START_UP_PAIRS)]
    judged = judge_pairs([*slower, make_pair(None), make_pair(None)], MARGINS, 1, ALPHA)
    assert (judged.decisions["first-step"].verdict, judged.decisions["first-step"].launches) == (Verdict.SLOWER, 4)
    assert judged.decisions["pipeline"].launches == 6


def test_simulated_gates_start_as_real_ones_do():
    ratios = list_log_ratios(draw_pairs(range(1, 61), 0.05))
    seconds = PairSeconds(20.0, 15.0, 4.0)
    unchanged = simulate_gates(ratios, {}, MARGINS, ALPHA, np.random.default_rng(0), seconds)
    assert unchanged.passed.estimate > 0.98
    assert unchanged.pairs.estimate == pytest.approx(6.0, abs=0.3), "at this spread the first decision point decides"
    by_start = 4.0 + START_UP_PAIRS * 20.0 + 2 * 15.0
    assert unchanged.seconds.estimate == pytest.approx(by_start, rel=0.08)
    slower = simulate_gates(ratios, {"pipeline": math.log1p(0.1)}, MARGINS, ALPHA, np.random.default_rng(0), seconds)
    assert slower.slower.estimate == 1.0


def test_simulated_gates_go_on_with_starts_while_these_are_open(monkeypatch):
    monkeypatch.setattr(error_rates, "BLOCKS", 4)
    ratios = list_log_ratios(draw_pairs(range(1, 61), 0.2))
    rates = simulate_gates(ratios, {}, MARGINS, ALPHA, np.random.default_rng(0), PairSeconds(1.0, 0.0))
    assert rates.pairs.estimate > 8
    assert rates.seconds.estimate > 0.7 * rates.pairs.estimate


def test_gates_are_not_simulated_without_a_start():
    with pytest.raises(ValueError, match="launch pairs"):
        simulate_gates([], {}, MARGINS, ALPHA, np.random.default_rng(0))


def test_pairs_count_by_how_their_arms_started():
    pairs = [make_pair(0.1, seconds=25.0), *[make_pair(0.1, seconds=20.0)] * 3, *[make_pair(None, seconds=14.0)] * 5]
    assert compute_pair_seconds(pairs) == PairSeconds(20.0, 14.0, 5.0)
    assert compute_pair_seconds(pairs[:4]) == PairSeconds(20.0, 20.0, 5.0)
    assert [sorted(one) for one in list_log_ratios(pairs)] == [["first-step", "pipeline"]] * 4 + [["pipeline"]] * 5
