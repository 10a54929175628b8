"""One case under the gate: what its launch pairs say so far, metric by metric. Pure functions of records."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.gate.decision import Decision, Verdict, settle
from bench.gate.metrics import METRICS
from bench.record import Proof, Record
from bench.stats import binomial

#: The order in which a metric's verdict makes the case's: the first that any metric has.
WORST = (Verdict.SLOWER, Verdict.OPEN, Verdict.UNDECIDED, Verdict.FASTER, Verdict.PASS)


@dataclass(frozen=True)
class Pair:
    """One launch of both arms, interleaved; `proof`, where it was asked, compares what head and base compute.

    Attributes:
        seconds: that the pair took.
    """

    base: Record
    head: Record
    proof: Proof | None
    seconds: float


@dataclass(frozen=True)
class Judged:
    """What the pairs say.

    Attributes:
        decisions: by metric, of those that were measured.
        broken: what no interval is needed for: the proof failed, the accuracy fell.
    """

    label: str
    task: str
    decisions: Mapping[str, Decision]
    broken: tuple[str, ...]
    pairs: int
    seconds: float

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
        cases: how many figures share the slower side's error rate, see `bench.gate.decision.decide`.
        last: no pair will follow.
    """
    decisions = {}
    for name, metric in METRICS.items():
        ys = [y for pair in pairs if (y := metric.y(pair.base, pair.head)) is not None]
        if len(ys) == len(pairs):
            decisions[name] = settle(ys, margins[name], cases, alpha, last)
    head = pairs[0].head
    return Judged(
        label=f"{head.backend}/{head.variant.name}",
        task=head.task.name,
        decisions=decisions,
        broken=tuple(_broken(pairs)),
        pairs=len(pairs),
        seconds=sum(pair.seconds for pair in pairs),
    )


def _broken(pairs: Sequence[Pair]) -> list[str]:
    found = []
    for pair in pairs:
        if pair.proof and pair.proof.status == "failed":
            found.append(f"parity with the base failed: {pair.proof.reason}")
        found += _fallen(pair)
    return found


def _fallen(pair: Pair) -> list[str]:
    """Accuracy below the base's binomial interval, on the same test images and from the same seed."""
    found = []
    for before, after in zip(pair.base.fine_tunes, pair.head.fine_tunes, strict=False):
        if before.correct is None or after.correct is None:
            continue
        expected = binomial(before.correct, before.test_images)
        share = after.correct / after.test_images
        if share < (expected.low or -math.inf):
            found.append(
                f"accuracy fell to {share:.2%} from {expected.estimate:.2%} "
                f"[{expected.low:.2%}–{expected.high:.2%}] (seed {after.seed})"
            )
    return found
