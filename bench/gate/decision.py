"""The decision: a pure function of the launch pairs' log-ratios, looked at a few times on the way.

y = ln(time of the head / time of the base), one for each launch pair, so above 0 the head is slower. The bounds are
Student's (1908) over the pairs. Looking several times gives chance several tries; the p of one look is set so that all
looks together keep to alpha (simulated in tests/bench/gate/test_decision.py, also where it does not hold).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import stats

#: Launch pairs after which the pairs are looked at.
LOOKS = (6, 9, 12, 16, 20)
#: Of gates that compare a revision with itself, at most this share may end `slower`.
ALPHA = 0.01
#: p of one look, as a share of alpha. Simulated: 0.3 makes 0.8 % of gates `slower` at alpha 1 %, with five looks.
LOOK_SHARE = 0.3
#: One-sided p of the bound that has to stay below the margin for a pass.
PASS_P = 0.01
#: The smallest slowdown that matters.
MARGIN = 0.03
#: A slowdown that is certain and smaller than this share of the margin does not matter.
LEAST_SHARE = 0.5
#: Two-sided confidence of the interval that is told.
CONFIDENCE = 0.99


class Verdict(StrEnum):
    """How a gate ends; `OPEN` is no end: more launch pairs are needed."""

    SLOWER = "slower"
    FASTER = "faster"
    PASS = "no change that matters"
    UNDECIDED = "undecided"
    OPEN = "open"


@dataclass(frozen=True)
class Decision:
    """A verdict, and what it rests on.

    Attributes:
        change: relative change of the time a step takes: 0.04 is 4 % slower.
        low, high: its interval (`CONFIDENCE`); infinite with one pair.
        pairs: launch pairs so far.
    """

    verdict: Verdict
    change: float
    low: float
    high: float
    pairs: int


def decide(
    ys: Sequence[float], margin: float = MARGIN, cases: int = 1, alpha: float = ALPHA, last: bool = False
) -> Decision:
    """What the launch pairs so far say.

    Args:
        ys: ln(time of the head / time of the base), a launch pair each, in their order.
        margin: the smallest slowdown that matters, relative.
        cases: that are gated together; they share the slower side's error rate. The pass bound is per case.
        alpha: of gates without a change, at most this share may end `slower`, all cases together.
        last: no pair will follow: what is open becomes undecided.

    Raises:
        ValueError: no pair, a y that is not finite, or a margin, alpha or number of cases that is not above 0.
    """
    sample = np.asarray(ys, dtype=float)
    if not sample.size or not np.isfinite(sample).all():
        raise ValueError(f"a decision needs finite figures, not {list(ys)}")
    if margin <= 0 or not 0 < alpha < 1 or cases < 1:
        raise ValueError(f"margin {margin}, alpha {alpha} and {cases} cases: all have to be above 0, alpha below 1")
    mean, matters = float(sample.mean()), math.log1p(margin)
    verdict = Verdict.OPEN
    if sample.size in LOOKS:
        slower_by = _reach(sample, LOOK_SHARE * alpha / cases)
        faster_by = _reach(sample, LOOK_SHARE * alpha)
        if mean - slower_by > 0 and mean >= LEAST_SHARE * matters:
            verdict = Verdict.SLOWER
        elif mean + faster_by < 0 and -mean >= LEAST_SHARE * matters:
            verdict = Verdict.FASTER
        elif mean + _reach(sample, PASS_P) < matters:
            verdict = Verdict.PASS
    if verdict is Verdict.OPEN and (last or sample.size >= LOOKS[-1]):
        verdict = Verdict.UNDECIDED
    told = _reach(sample, (1 - CONFIDENCE) / 2)
    high = math.inf if math.isinf(told) else math.expm1(mean + told)
    return Decision(verdict, math.expm1(mean), math.expm1(mean - told), high, int(sample.size))


def settle(
    ys: Sequence[float], margin: float = MARGIN, cases: int = 1, alpha: float = ALPHA, last: bool = False
) -> Decision:
    """The decision at the first look that made one; pairs measured after it, for another figure's sake, do not count.

    Arguments and errors as `decide`.
    """
    for look in LOOKS:
        if look <= len(ys) and (found := decide(ys[:look], margin, cases, alpha)).verdict is not Verdict.OPEN:
            return found
    return decide(ys, margin, cases, alpha, last)


def _reach(sample: np.ndarray, p: float) -> float:
    """How far Student's one-sided bound at `p` lies from the mean; infinite for one value."""
    if sample.size < 2:
        return math.inf
    return float(stats.t.isf(p, sample.size - 1) * sample.std(ddof=1) / math.sqrt(sample.size))
