"""One case under the gate: what its launches say so far, metric by metric. Pure functions of their figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.metrics import METRICS, level, log_ratio
from bench.analysis.statistics import binomial
from bench.gate.decision import Decision, Verdict, settle
from bench.records.launch_figures import Figures
from bench.records.record import Proof

#: The order in which a metric's verdict makes the case's: the first that any metric has.
WORST = (Verdict.SLOWER, Verdict.OPEN, Verdict.UNDECIDED, Verdict.FASTER, Verdict.PASS)


@dataclass(frozen=True)
class Pair:
    """One launch of both arms, interleaved; `proof`, where it was asked, compares what head and base compute.

    Attributes:
        seconds: that the pair took.
    """

    base: Figures
    head: Figures
    proof: Proof | None
    seconds: float


@dataclass(frozen=True)
class Judged:
    """What the launches say.

    Attributes:
        decisions: by metric, of those that both arms measured.
        broken: what no interval is needed for: the proof failed, the accuracy fell.
        launches: of the head, or of both arms as pairs.
        paired: whether base and head ran in the same minutes.
    """

    case: str
    decisions: Mapping[str, Decision]
    broken: tuple[str, ...]
    launches: int
    seconds: float
    paired: bool = True

    @property
    def verdict(self) -> Verdict:
        """The worst of all metrics'; what is broken is as bad as slower."""
        if self.broken:
            return Verdict.SLOWER
        found = {decision.verdict for decision in self.decisions.values()}
        return next(verdict for verdict in WORST if verdict in found)


def judge(pairs: Sequence[Pair], margins: Mapping[str, float], cases: int, alpha: float, last: bool = False) -> Judged:
    """What a case's pairs say.

    Args:
        pairs: at least one.
        margins: by metric.
        cases: that are gated together; all metrics of all of them share the slower side's error rate.
        last: no pair will follow.
    """
    measured = {
        name: ys
        for name in METRICS
        if (ys := [log_ratio(name, p.base, p.head) for p in pairs if name in p.base.values and name in p.head.values])
    }
    sharing = cases * len(measured)
    decisions = {
        name: settle(ys, margins[name], sharing, alpha, last, skipped=len(pairs) - len(ys))
        for name, ys in measured.items()
    }
    proofs = [pair.proof.reason for pair in pairs if pair.proof and pair.proof.status == "failed"]
    broken = [f"parity with the base failed: {reason}" for reason in proofs]
    broken += [line for pair in pairs for line in _fallen(pair.base, pair.head)]
    return Judged(pairs[0].head.case, decisions, tuple(broken), len(pairs), sum(pair.seconds for pair in pairs))


def judge_apart(
    base: Sequence[Figures],
    head: Sequence[Figures],
    margins: Mapping[str, float],
    cases: int,
    alpha: float,
    last: bool = False,
) -> Judged:
    """What the head's launches say against a base that was measured another day. Arguments as `judge`."""
    measured = {
        name: (own, of_base) for name in METRICS if (own := _levels(name, head)) and (of_base := _levels(name, base))
    }
    decisions = {
        name: settle(own, margins[name], cases * len(measured), alpha, last, of_base, skipped=len(head) - len(own))
        for name, (own, of_base) in measured.items()
    }
    # The accuracy of an arm is of its fine-tunes, whichever launch they were in.
    whole = [{seed: right for one in arm for seed, right in one.right.items()} for arm in (base, head)]
    broken = tuple(_fallen(*(Figures("", {}, right) for right in whole)))
    return Judged(head[0].case, decisions, broken, len(head), 0.0, paired=False)


def _levels(name: str, launches: Sequence[Figures]) -> list[float]:
    """Of the launches that measured it."""
    return [level(name, figures) for figures in launches if name in figures.values]


def _fallen(base: Figures, head: Figures) -> list[str]:
    """Accuracy below the base's binomial interval, on the same test images and from the same seed."""
    found = []
    for seed in base.right.keys() & head.right.keys():
        expected = binomial(*base.right[seed])
        correct, images = head.right[seed]
        if correct / images < (expected.low or -math.inf):
            found.append(
                f"accuracy fell to {correct / images:.2%} from {expected.estimate:.2%} "
                f"[{expected.low:.2%}–{expected.high:.2%}] (seed {seed})"
            )
    return found
