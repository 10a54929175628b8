"""The judgement of one case, metric by metric, from its launches so far: pure functions of their figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.metrics import METRICS, compute_log_ratio, log_level
from bench.analysis.statistics import wilson_interval
from bench.analysis.warning_summary import sum_up_warnings
from bench.analysis.warnings import find_machine_warnings
from bench.gate.decision import ALPHA, DECISION_POINTS, Decision, Verdict, decide, decide_sequentially
from bench.records.launch_figures import LaunchFigures
from bench.records.record import Conditions, MeasurementWarning, Proof

#: The metric of a start, which only pairs have whose arms were built one after the other; and how many first pairs are.
START_UP_METRIC, START_UP_PAIRS = "first-step", 4
#: The verdict of a case is the first of these that any of its metrics has.
WORST_FIRST = (Verdict.SLOWER, Verdict.OPEN, Verdict.UNDECIDED, Verdict.FASTER, Verdict.PASS)


@dataclass(frozen=True)
class LaunchPair:
    """One launch of both arms, with interleaved rounds.

    Attributes:
        proof: whether both compute the same; None if this pair did not prove it.
        seconds: how long the pair took.
        conditions: what else the machine did meanwhile; None if it is not known.
        alone: whether each arm was built while the other waited: only then it has the figures of a start.
    """

    base: LaunchFigures
    head: LaunchFigures
    proof: Proof | None
    seconds: float
    conditions: Conditions | None = None
    alone: bool = True


@dataclass(frozen=True)
class Judgement:
    """The verdict on a case, and the figures for it.

    Attributes:
        decisions: by metric; only metrics that both arms measured.
        failures: what fails the gate whatever the intervals: the proof failed, or the accuracy fell.
        launches: number of launch pairs; without pairs, of launches of the head.
        paired: whether base and head were measured side by side.
        warnings: reasons to trust the figures less, summed up over the launches.
        base, head: the figures of each launch; in pairs, if base and head were measured side by side.
    """

    case: str
    decisions: Mapping[str, Decision]
    failures: tuple[str, ...]
    launches: int
    seconds: float
    paired: bool = True
    warnings: tuple[MeasurementWarning, ...] = ()
    base: tuple[LaunchFigures, ...] = ()
    head: tuple[LaunchFigures, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of all metrics; a failure is as bad as slower."""
        if self.failures:
            return Verdict.SLOWER
        found = {decision.verdict for decision in self.decisions.values()}
        return next(verdict for verdict in WORST_FIRST if verdict in found)


def judge_pairs(
    pairs: Sequence[LaunchPair], margins: Mapping[str, float], cases: int, alpha: float, last: bool = False
) -> Judgement:
    """Judge a case by its launch pairs.

    Args:
        pairs: at least one.
        margins: by metric.
        cases: number of cases that are gated together; all metrics of all cases share alpha.
        alpha: as in `bench.gate.decision.decide`.
        last: no pair will follow.
    """
    names = list_metrics(pairs)
    sharing_alpha = cases * len(names)
    decisions = {name: _decide_metric(name, pairs, margins[name], sharing_alpha, alpha, last) for name in names}
    proofs = [pair.proof.reason for pair in pairs if pair.proof and pair.proof.status == "failed"]
    failures = [f"parity with the base failed: {reason}" for reason in proofs]
    failures += [line for pair in pairs for line in _find_accuracy_losses(pair.base, pair.head)]
    return Judgement(
        pairs[0].head.case,
        decisions,
        tuple(failures),
        len(pairs),
        sum(pair.seconds for pair in pairs),
        warnings=sum_up_warnings([{"both": find_machine_warnings(pair.conditions)} for pair in pairs], "launch pairs"),
        base=tuple(pair.base for pair in pairs),
        head=tuple(pair.head for pair in pairs),
    )


def needs_start_up(
    pairs: Sequence[LaunchPair], margins: Mapping[str, float], cases: int = 1, alpha: float = ALPHA
) -> bool:
    """Whether the next pair needs the figures of a start, so that its arms have to be built one after the other.

    The first `START_UP_PAIRS` do, and after the first decision point all until the metric of the start has a verdict.

    Args:
        pairs: all so far.
        margins, cases, alpha: as in `judge_pairs`.
    """
    if len(pairs) < START_UP_PAIRS:
        return True
    names = list_metrics(pairs)
    if len(pairs) < DECISION_POINTS[0] or START_UP_METRIC not in names:
        return False
    margin = margins[START_UP_METRIC]
    decision = _decide_metric(START_UP_METRIC, pairs, margin, cases * len(names), alpha, last=False)
    return decision.verdict is Verdict.OPEN


def list_metrics(pairs: Sequence[LaunchPair]) -> list[str]:
    """List the metrics that both arms of a pair have, in at least one pair."""
    return [name for name in METRICS if any(_has_metric(name, pair) for pair in pairs)]


def _has_metric(name: str, pair: LaunchPair) -> bool:
    return name in pair.base.values and name in pair.head.values


def _decide_metric(
    name: str, pairs: Sequence[LaunchPair], margin: float, sharing_alpha: int, alpha: float, last: bool
) -> Decision:
    measured = {number: pair for number, pair in enumerate(pairs, start=1) if _has_metric(name, pair)}
    ys = [compute_log_ratio(name, pair.base, pair.head) for pair in measured.values()]
    return decide_sequentially(ys, margin, sharing_alpha, alpha, last, numbers=list(measured), total=len(pairs))


def judge_unpaired(
    base: Sequence[LaunchFigures],
    head: Sequence[LaunchFigures],
    margins: Mapping[str, float],
    cases: int,
    alpha: float,
    last: bool = False,
) -> Judgement:
    """Judge a case whose base was measured another day. Arguments as in `judge_pairs`."""
    measured = {
        name: (head_logs, base_logs)
        for name in METRICS
        if (head_logs := _compute_log_medians(name, head)) and (base_logs := _compute_log_medians(name, base))
    }
    sharing_alpha = cases * len(measured)
    decisions = {
        name: decide_sequentially(
            head_logs,
            margins[name],
            sharing_alpha,
            alpha,
            last,
            base_logs,
            numbers=[number for number, figures in enumerate(head, start=1) if name in figures.values],
            total=len(head),
        )
        for name, (head_logs, base_logs) in measured.items()
    }
    # The fine-tunes of all launches of an arm, by seed.
    correct_by_seed = [{seed: right for one in arm for seed, right in one.right.items()} for arm in (base, head)]
    failures = tuple(_find_accuracy_losses(*(LaunchFigures("", {}, right) for right in correct_by_seed)))
    return Judgement(
        head[0].case, decisions, failures, len(head), 0.0, paired=False, base=tuple(base), head=tuple(head)
    )


def trace_decisions(judgement: Judgement, metric: str, margin: float) -> list[Decision]:
    """Compute the change of a metric and its interval after each launch but the first, in order.

    They show how the interval became narrower; the verdict on the case is in `judgement.decisions`.
    """
    if judgement.paired:
        both = zip(judgement.base, judgement.head, strict=True)
        ys = [compute_log_ratio(metric, *one) for one in both if all(metric in arm.values for arm in one)]
        base = None
    else:
        ys, base = (_compute_log_medians(metric, arm) for arm in (judgement.head, judgement.base))
    return [decide(ys[:count], margin, base=base) for count in range(2, len(ys) + 1)]


def _compute_log_medians(name: str, launches: Sequence[LaunchFigures]) -> list[float]:
    """ln of the median of a metric, of each launch that measured it."""
    return [log_level(name, figures) for figures in launches if name in figures.values]


def _find_accuracy_losses(base: LaunchFigures, head: LaunchFigures) -> list[str]:
    """A line for each seed whose accuracy is below the base's binomial interval, on the same test images."""
    found = []
    for seed in base.right.keys() & head.right.keys():
        expected = wilson_interval(*base.right[seed])
        correct, images = head.right[seed]
        if correct / images < (expected.low or -math.inf):
            found.append(
                f"accuracy fell to {correct / images:.2%} from {expected.estimate:.2%} "
                f"[{expected.low:.2%}–{expected.high:.2%}] (seed {seed})"
            )
    return found
