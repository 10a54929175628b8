"""Every two cases of a table compared, and which differences are certain among so many comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from bench.analysis.launches import CaseLaunches, Kind, TaskLaunches
from bench.analysis.statistics import holm, p_of_no_difference

#: A difference is certain where its p, corrected by Holm, is below this.
SIGNIFICANT = 0.05


class Comparisons:
    """The comparisons of one table: of every two comparable cases, for each kind of rounds."""

    def __init__(self, task: TaskLaunches, kinds: Sequence[Kind]) -> None:
        comparable = [case for case in task.cases if case.not_comparable() is None]
        found: dict[tuple[frozenset[str], Kind], float] = {}
        for kind in kinds:
            for one, other in combinations(comparable, 2):
                if ys := one.log_ratios(other, kind):
                    found[_key(one, other), kind] = p_of_no_difference(ys)
        self._adjusted = dict(zip(found, holm(list(found.values())), strict=True))

    @property
    def count(self) -> int:
        """How many comparisons there are."""
        return len(self._adjusted)

    def differ(self, one: CaseLaunches, other: CaseLaunches, kind: Kind) -> bool:
        """Whether two cases differ for certain."""
        return self._adjusted.get((_key(one, other), kind), 1.0) < SIGNIFICANT


def _key(one: CaseLaunches, other: CaseLaunches) -> frozenset[str]:
    return frozenset((one.first.case, other.first.case))
