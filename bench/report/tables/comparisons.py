"""The comparisons of all pairs of cases in a table, with Holm's correction for their number."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Literal

from bench.analysis.launches import CaseLaunches, Kind, TaskLaunches
from bench.analysis.statistics import Interval, adjust_by_holm, t_test_p

Decision = Literal["certain", "not certain", "no difference", "too few launches"]

#: A difference is certain if its p, after Holm's correction, is below this.
SIGNIFICANT = 0.05


class Comparisons:
    """The comparisons of one table: every pair of comparable cases, for each kind of rounds."""

    def __init__(self, task: TaskLaunches, kinds: Sequence[Kind]) -> None:
        comparable = [case for case in task.cases if case.why_not_comparable() is None]
        p_values: dict[tuple[frozenset[str], Kind], float] = {}
        for kind in kinds:
            for one, other in combinations(comparable, 2):
                if ys := one.log_ratios(other, kind):
                    p_values[_key(one, other), kind] = t_test_p(ys)
        self._adjusted = dict(zip(p_values, adjust_by_holm(list(p_values.values())), strict=True))

    @property
    def count(self) -> int:
        """The number of comparisons."""
        return len(self._adjusted)

    def is_certain(self, one: CaseLaunches, other: CaseLaunches, kind: Kind) -> bool:
        """Return whether the difference between two cases is certain."""
        return self._adjusted.get((_key(one, other), kind), 1.0) < SIGNIFICANT


def decide(ratio: Interval, certain: bool) -> Decision:
    """Decide about two cases.

    Args:
        ratio: of their throughputs.
        certain: whether the difference is certain, see `Comparisons.is_certain`.
    """
    if ratio.low is None:
        return "too few launches"
    if not ratio.excludes(1):
        return "no difference"
    return "certain" if certain else "not certain"


def _key(one: CaseLaunches, other: CaseLaunches) -> frozenset[str]:
    return frozenset((one.first.case, other.first.case))
