"""The standings of a task: the pairwise decisions of its throughput table, with the fastest case first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from bench.analysis.launches import CaseLaunches, Kind, TaskLaunches
from bench.analysis.statistics import Interval
from bench.report.tables.comparisons import Comparisons, Decision, decide
from bench.report.tables.throughput_table import KINDS


@dataclass(frozen=True)
class Pair:
    """What the throughput table decides about two cases; `ratio` is the throughput of `faster` over that of `slower`.

    Which of the two is faster is known only where the decision is `certain`; elsewhere it is an estimate.
    """

    faster: CaseLaunches
    slower: CaseLaunches
    ratio: Interval
    decision: Decision


@dataclass(frozen=True)
class Standings:
    """The cases of a task that may be compared, and what is decided about each pair of them.

    Attributes:
        cases: by estimated throughput, the highest first.
        pairs: of all cases that have a common launch.
        excluded: the other cases that were measured, each with the reason why it may not be compared.
    """

    cases: tuple[CaseLaunches, ...]
    pairs: tuple[Pair, ...]
    excluded: tuple[tuple[CaseLaunches, str], ...]

    def choose_first(self, count: int) -> Standings:
        """Choose the first cases, with the pairs of two of them."""
        cases = self.cases[:count]
        pairs = tuple(pair for one, other in combinations(cases, 2) if (pair := self.find_pair(one, other)))
        return Standings(cases, pairs, self.excluded)

    def has(self, case: CaseLaunches) -> bool:
        """Return whether a case is among those that may be compared."""
        return any(one is case for one in self.cases)

    def find_pair(self, one: CaseLaunches, other: CaseLaunches) -> Pair | None:
        """Find the pair of two cases, whichever of them is faster."""
        return next((pair for pair in self.pairs if {id(pair.faster), id(pair.slower)} == {id(one), id(other)}), None)

    def decide(self, one: CaseLaunches, other: CaseLaunches) -> Decision | None:
        """Return the decision about two cases; None if they have no common launch."""
        pair = self.find_pair(one, other)
        return pair.decision if pair else None

    def list_behind(self, case: CaseLaunches, decision: Decision) -> list[CaseLaunches]:
        """List the cases that `case` was faster than, with this decision."""
        return [pair.slower for pair in self.pairs if pair.faster is case and pair.decision == decision]

    def is_ahead(self, one: CaseLaunches, other: CaseLaunches) -> bool:
        """Return whether `one` is certainly faster than `other`."""
        pair = self.find_pair(one, other)
        return pair is not None and pair.faster is one and pair.decision == "certain"

    @property
    def leaders(self) -> tuple[CaseLaunches, ...]:
        """The cases that share the lead: certainly faster than all others, and no difference found among them.

        Empty if the throughput table does not decide that.
        """
        for count in range(1, len(self.cases)):
            leaders, rest = self.cases[:count], self.cases[count:]
            ahead = all(self.is_ahead(leader, case) for leader in leaders for case in rest)
            tied = all(self.decide(one, other) == "no difference" for one, other in combinations(leaders, 2))
            if ahead and tied:
                return leaders
        return ()


def find_standings(task: TaskLaunches, relative_to: str, kind: Kind = "pipeline") -> Standings:
    """Find the standings of a task.

    Cases are comparable as in the throughput table: to the case that ratios are relative to; without that, to the
    fastest.

    Args:
        task: all cases of one task in one division.
        relative_to: see `TaskLaunches.reference`.
        kind: of the rounds.
    """
    rates = {case.label: rate.estimate for case in task.cases if (rate := case.throughput(kind))}
    measured = sorted((case for case in task.cases if case.label in rates), key=lambda case: -rates[case.label])
    sound = [case for case in measured if case.why_not_comparable() is None]
    reference = task.reference(relative_to)
    anchor = reference if reference in sound else next(iter(sound), None)
    reasons = {case.label: case.why_not_comparable(anchor) for case in measured}
    comparable = [case for case in measured if reasons[case.label] is None]
    return Standings(
        cases=tuple(comparable),
        pairs=tuple(_decide_pairs(comparable, Comparisons(task, KINDS), kind)),
        excluded=tuple((case, reason) for case in measured if (reason := reasons[case.label]) is not None),
    )


def _decide_pairs(cases: Sequence[CaseLaunches], comparisons: Comparisons, kind: Kind) -> list[Pair]:
    pairs = []
    for one, other in combinations(cases, 2):
        ratio = one.ratio_to(other, kind)
        if ratio is None:
            continue
        faster, slower = (one, other) if ratio.estimate >= 1 else (other, one)
        oriented = ratio if faster is one else other.ratio_to(one, kind)
        if oriented is None:
            continue
        certain = comparisons.is_certain(one, other, kind)
        pairs.append(Pair(faster, slower, oriented, decide(oriented, certain)))
    return pairs
