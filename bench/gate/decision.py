"""The decision: a pure function of the launch pairs' log-ratios, looked at a few times on the way.

y = ln(time of the head / time of the base), one for each launch pair, so above 0 the head is slower. The bounds are
Student's (1908) over the pairs; where base and head were not measured side by side, Welch's (1947, Biometrika 34:28-35)
over the launches of both. Looking several times gives chance several tries; the p of one look is set so that all
looks together keep to alpha (simulated in tests/bench/gate/test_decision.py, also where it does not hold).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from scipy import special

from bench.analysis.metrics import MARGIN

#: Launch pairs after which the pairs are looked at. Few gates reach the last two. Without them, at the spread of 3 %
#: that was measured, 9 in 10 gates of an unchanged step passed; with them, 98 in 100.
LOOKS = (6, 9, 12, 16, 20, 25, 30)
#: Of gates that compare a revision with itself, at most this share may end `slower`.
ALPHA = 0.01
#: p of one look, as a share of alpha. Simulated: 0.3 makes 0.8 % of gates `slower` at alpha 1 %, with five looks.
LOOK_SHARE = 0.22
#: One-sided p of the bound that has to stay below the margin for a pass.
PASS_P = 0.01
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
        launches: launch pairs, or launches of the head, so far.
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
    """What the launches so far say.

    Args:
        ys: ln(time of the head / time of the base), a launch pair each, in their order; with `base`, ln(time of the
            head), a launch each.
        margin: the smallest slowdown that matters, relative.
        cases: that are gated together; they share the slower side's error rate. The pass bound is per case.
        alpha: of gates without a change, at most this share may end `slower`, all cases together.
        last: no launch will follow: what is open becomes undecided.
        base: ln(time of the base), of launches that were not paired with the head's.
        skipped: launches before these that tell nothing of this figure; for the looks they count.

    Raises:
        ValueError: no launch, a y that is not finite, or a margin, alpha or number of cases that is not above 0.
    """
    if margin <= 0 or not 0 < alpha < 1 or cases < 1:
        raise ValueError(f"margin {margin}, alpha {alpha} and {cases} cases: all have to be above 0, alpha below 1")
    found = _paired(_finite(ys)) if base is None else _apart(_finite(ys), _finite(base))
    matters, verdict = math.log1p(margin), Verdict.OPEN
    if len(ys) + skipped in LOOKS:
        if found.mean - found.reach(LOOK_SHARE * alpha / cases) > 0 and found.mean >= LEAST_SHARE * matters:
            verdict = Verdict.SLOWER
        elif found.mean + found.reach(LOOK_SHARE * alpha) < 0 and -found.mean >= LEAST_SHARE * matters:
            verdict = Verdict.FASTER
        elif found.mean + found.reach(PASS_P) < matters:
            verdict = Verdict.PASS
    if verdict is Verdict.OPEN and (last or len(ys) + skipped >= LOOKS[-1]):
        verdict = Verdict.UNDECIDED
    told = found.reach((1 - CONFIDENCE) / 2)
    high = math.inf if math.isinf(told) else math.expm1(found.mean + told)
    return Decision(verdict, math.expm1(found.mean), math.expm1(found.mean - told), high, len(ys))


def settle(
    ys: Sequence[float],
    margin: float = MARGIN,
    cases: int = 1,
    alpha: float = ALPHA,
    last: bool = False,
    base: Sequence[float] | None = None,
    skipped: int = 0,
) -> Decision:
    """The decision at the first look that made one; launches made after it, for another figure's sake, do not count.

    Arguments and errors as `decide`.
    """
    for look in LOOKS:
        if 0 < look - skipped <= len(ys):
            early = decide(ys[: look - skipped], margin, cases, alpha, base=base, skipped=skipped)
            if early.verdict is not Verdict.OPEN:
                return early
    return decide(ys, margin, cases, alpha, last, base, skipped)


@dataclass(frozen=True)
class _Estimate:
    """A mean log-ratio, its standard error and the degrees of freedom of that."""

    mean: float
    error: float
    freedom: float

    def reach(self, p: float) -> float:
        """How far the one-sided bound at `p` lies from the mean; infinite where one launch says nothing of others."""
        # Student's quantile by itself: `scipy.stats.t` takes a hundred times as long, and gates are simulated.
        return -float(special.stdtrit(self.freedom, p)) * self.error if self.freedom else math.inf


def _paired(ys: np.ndarray) -> _Estimate:
    if ys.size < 2:
        return _Estimate(float(ys.mean()), 0.0, 0)
    return _Estimate(float(ys.mean()), _error(ys), ys.size - 1)


def _apart(head: np.ndarray, base: np.ndarray) -> _Estimate:
    """Two samples of their own; the degrees of freedom are Welch's and Satterthwaite's."""
    mean = float(head.mean() - base.mean())
    if min(head.size, base.size) < 2:
        return _Estimate(mean, 0.0, 0)
    squares = [_error(sample) ** 2 for sample in (head, base)]
    total = sum(squares)
    parts = sum(square**2 / (sample.size - 1) for square, sample in zip(squares, (head, base), strict=True))
    return _Estimate(mean, math.sqrt(total), total**2 / parts if parts else head.size + base.size - 2)


def _error(sample: np.ndarray) -> float:
    """The standard error of the mean."""
    return float(sample.std(ddof=1)) / math.sqrt(sample.size)


def _finite(values: Sequence[float]) -> np.ndarray:
    sample = np.asarray(values, dtype=float)
    if not sample.size or not np.isfinite(sample).all():
        raise ValueError(f"a decision needs finite figures, not {list(values)}")
    return sample
