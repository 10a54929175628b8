"""The decision of the gate: a group-sequential test, as a pure function of the launch pairs' log-ratios.

y = ln(time of the head / time of the base), one for each launch pair: the head is slower if y is above 0. The gate
decides at a few numbers of launch pairs only, the decision points (in statistics: interim analyses). The bounds are
Student's (1908) over the pairs; if base and head were not measured side by side, Welch's (1947, Biometrika 34:28-35)
over the launches of both. Each decision point is another chance of a false alarm, so p at each one is so small that all
together keep to alpha (simulated in tests/bench/gate/test_decision.py, with the cases in which this does not hold).
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from bench.analysis.mean_estimate import estimate_paired, estimate_unpaired
from bench.analysis.metrics import MARGIN
from bench.analysis.statistics import as_finite_array

#: Decision points: numbers of launch pairs after which the gate may decide. Few gates reach the last two. Without
#: them, at the measured spread of 3 %, 9 in 10 gates of an unchanged step passed; with them, 98 in 100.
DECISION_POINTS = (6, 9, 12, 16, 20, 25, 30)
#: At most this share of the gates that compare a revision with itself may end `slower`.
ALPHA = 0.01
#: p at one decision point, as a share of alpha. Simulated: with five decision points, 0.3 makes 0.8 % of gates
#: `slower` at alpha 1 %.
ALPHA_SHARE = 0.22
#: One-sided p of the upper bound, which has to be below the margin for a pass.
PASS_P = 0.01
#: A certain slowdown below this share of the margin does not matter.
LEAST_MARGIN_SHARE = 0.5
#: Two-sided confidence of the interval that is shown.
CONFIDENCE = 0.99


class Verdict(StrEnum):
    """What a gate concludes. `OPEN`: more launch pairs are needed."""

    SLOWER = "slower"
    FASTER = "faster"
    PASS = "no change that matters"
    UNDECIDED = "undecided"
    OPEN = "open"


@dataclass(frozen=True)
class Decision:
    """A verdict on one metric, and the figures for it.

    Attributes:
        change: relative change of the metric: 0.04 is 4 % slower, or 4 % more memory.
        low, high: its interval at `CONFIDENCE`; infinite with one pair.
        launches: launch pairs so far; without pairs, launches of the head.
    """

    verdict: Verdict
    change: float
    low: float
    high: float
    launches: int


def decide(
    ys: Sequence[float],
    margin: float = MARGIN,
    cases: int = 1,
    alpha: float = ALPHA,
    last: bool = False,
    base: Sequence[float] | None = None,
    skipped: int = 0,
) -> Decision:
    """Decide from the launches so far; `OPEN` between decision points.

    Args:
        ys: ln(time of the head / time of the base) of each launch pair, in order; with `base`, ln(time of the head)
            of each launch.
        margin: the smallest slowdown that matters, relative.
        cases: number of cases that are gated together; they share alpha. The bound for a pass is per case.
        alpha: at most this share of gates without a change may end `slower`, all cases together.
        last: no launch will follow, so an open verdict becomes undecided.
        base: ln(time of the base) of each launch, if these were not paired with the head's.
        skipped: number of launches without this figure; they count for the decision points.

    Raises:
        ValueError: no launch, a y that is not finite, or a margin, alpha or number of cases that is not above 0.
    """
    if margin <= 0 or not 0 < alpha < 1 or cases < 1:
        raise ValueError(f"margin {margin}, alpha {alpha} and {cases} cases: all have to be above 0, alpha below 1")
    estimate = (
        estimate_paired(as_finite_array(ys))
        if base is None
        else estimate_unpaired(as_finite_array(ys), as_finite_array(base))
    )
    log_margin, verdict = math.log1p(margin), Verdict.OPEN
    if len(ys) + skipped in DECISION_POINTS:
        if (
            estimate.mean - estimate.bound_distance(ALPHA_SHARE * alpha / cases) > 0
            and estimate.mean >= LEAST_MARGIN_SHARE * log_margin
        ):
            verdict = Verdict.SLOWER
        elif (
            estimate.mean + estimate.bound_distance(ALPHA_SHARE * alpha) < 0
            and -estimate.mean >= LEAST_MARGIN_SHARE * log_margin
        ):
            verdict = Verdict.FASTER
        elif estimate.mean + estimate.bound_distance(PASS_P) < log_margin:
            verdict = Verdict.PASS
    if verdict is Verdict.OPEN and (last or len(ys) + skipped >= DECISION_POINTS[-1]):
        verdict = Verdict.UNDECIDED
    half_width = estimate.bound_distance((1 - CONFIDENCE) / 2)
    high = math.inf if math.isinf(half_width) else math.expm1(estimate.mean + half_width)
    return Decision(verdict, math.expm1(estimate.mean), math.expm1(estimate.mean - half_width), high, len(ys))


def decide_sequentially(
    ys: Sequence[float],
    margin: float = MARGIN,
    cases: int = 1,
    alpha: float = ALPHA,
    last: bool = False,
    base: Sequence[float] | None = None,
    numbers: Sequence[int] | None = None,
    total: int | None = None,
) -> Decision:
    """Decide at the first decision point that gives a verdict. Later launches, made for other metrics, do not count.

    Arguments and errors as `decide`, and:

    Args:
        numbers: the number of each y's launch, from 1, in order; by default each launch has this figure.
        total: number of launches so far, with and without this figure; by default the last of `numbers`.
    """
    numbers = numbers or range(1, len(ys) + 1)
    total = total or numbers[-1]
    for point in DECISION_POINTS:
        count = bisect_right(numbers, point)
        if count and point <= total:
            decision = decide(ys[:count], margin, cases, alpha, base=base, skipped=point - count)
            if decision.verdict is not Verdict.OPEN:
                return decision
    return decide(ys, margin, cases, alpha, last, base, total - len(ys))
