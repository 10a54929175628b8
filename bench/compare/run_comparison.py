"""The comparison of stored runs, as a pure function of their records: nothing in it was interleaved.

Each run is compared with the first one, its base: case by case, by task and variant. Two runs of one machine have the
ratio of their throughputs with Welch's interval over the launches of both. Throughputs of different machines differ for
the machines' sake, so what says something there is how the ratio between two frameworks differs.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import median

from bench.analysis.launches import CaseLaunches, Kind, TaskLaunches
from bench.analysis.mean_estimate import UnpairedRatio, compare_unpaired
from bench.analysis.statistics import adjust_by_holm
from bench.compare.differences import find_case_difference, find_task_difference
from bench.compare.stored_run import StoredRun
from bench.errors import make_unknown_error
from bench.report.tables.comparisons import SIGNIFICANT, Comparisons
from bench.report.tables.throughput_table import KINDS


@dataclass(frozen=True)
class CaseRow:
    """One case of one run, in one kind of rounds, beside the same case of the base.

    Attributes:
        case: of this run.
        reference: what its ratio is relative to within the run; None for the reference itself, or without one.
        certain_within: whether that ratio is certain, as the run's own table decides.
        over_base: its throughput over the base's; None for the base itself, and where `reason` is set.
        change: its ratio to the reference over the base's ratio; None where one of the two has none.
        reason: why the case is not compared with the base.
        certain, change_certain: whether p is below 0.05 after Holm's correction for all comparisons of the task.
    """

    run: StoredRun
    case: CaseLaunches
    kind: Kind
    reference: CaseLaunches | None = None
    certain_within: bool = False
    over_base: UnpairedRatio | None = None
    change: UnpairedRatio | None = None
    reason: str | None = None
    certain: bool = False
    change_certain: bool = False


@dataclass(frozen=True)
class TaskComparison:
    """One task in all runs that have it; the first of `runs` is the base, and `rows` are in the order of its cases."""

    task: TaskLaunches
    runs: tuple[StoredRun, ...]
    relative_to: str
    rows: tuple[CaseRow, ...]

    def list_rows(self, kind: Kind, run: StoredRun | None = None) -> list[CaseRow]:
        """List the rows of a kind of rounds, and of one run."""
        return [row for row in self.rows if row.kind == kind and (run is None or row.run is run)]


@dataclass(frozen=True)
class RunComparison:
    """The comparison of all runs; `left_out` says which tasks and cases are not compared, and why."""

    runs: tuple[StoredRun, ...]
    tasks: tuple[TaskComparison, ...]
    left_out: tuple[str, ...]


def compare_runs(runs: Sequence[StoredRun], relative_to: str | None = None) -> RunComparison:
    """Compare stored runs with the first of them.

    Args:
        runs: two or more.
        relative_to: what ratios within a run are relative to; by default as in the first run.

    Raises:
        UserError: none of the runs has a case of `relative_to`.
    """
    base, *others = runs
    tasks = [task for run in runs for task in run.tasks]
    if relative_to is not None and not any(task.reference(relative_to) for task in tasks):
        cases = [case for task in tasks for case in task.cases]
        names = dict.fromkeys((*(case.first.backend for case in cases), *(case.label for case in cases)))
        raise make_unknown_error("backend or case", relative_to, names)
    reference_name = relative_to or base.relative_to
    compared, left_out = [], []
    for task in base.tasks:
        found = {other.letter: _find_task(task, other) for other in others}
        matching = [(other, match) for other in others if (match := found[other.letter])]
        left_out += [line for other in others if not found[other.letter] and (line := _explain(task, base, other))]
        if matching:
            compared.append(_compare_task(task, base, matching, reference_name))
            left_out += _list_missing_cases(task, base, matching)
    for other in others:
        own = [task for task in other.tasks if not _find_task(task, base)]
        left_out += [
            f"{task.name}: not in {base.letter}"
            for task in own
            if not any(one.task.name == task.task.name and one.division == task.division for one in base.tasks)
        ]
    return RunComparison(tuple(runs), tuple(compared), tuple(left_out))


def _find_task(task: TaskLaunches, run: StoredRun) -> TaskLaunches | None:
    """Find the same task in another run."""
    return next(
        (
            one
            for one in run.tasks
            if (one.task.name, one.task.hash, one.division) == (task.task.name, task.task.hash, task.division)
        ),
        None,
    )


def _explain(task: TaskLaunches, base: StoredRun, other: StoredRun) -> str:
    """Explain why a task of the base is not compared with another run."""
    of_name = [one for one in other.tasks if (one.task.name, one.division) == (task.task.name, task.division)]
    if not of_name:
        return f"{task.name}: not in {other.letter}"
    return f"{task.task.name}: {find_task_difference(task, of_name[0])} in {base.letter} and {other.letter}"


def _list_missing_cases(
    task: TaskLaunches, base: StoredRun, matching: Sequence[tuple[StoredRun, TaskLaunches]]
) -> Iterator[str]:
    own = [case.label for case in task.cases]
    for other, match in matching:
        theirs = [case.label for case in match.cases]
        for run, missing in (
            (other, [label for label in own if label not in theirs]),
            (base, [label for label in theirs if label not in own]),
        ):
            if missing:
                yield f"{task.name}: {', '.join(missing)} not in {run.letter}"


def _compare_task(
    task: TaskLaunches, base: StoredRun, matching: Sequence[tuple[StoredRun, TaskLaunches]], relative_to: str
) -> TaskComparison:
    rows = []
    for kind in KINDS:
        for case in task.cases:
            base_row = _make_row(base, task, case, kind, relative_to)
            rows.append(base_row)
            for other, match in matching:
                same = next((one for one in match.cases if one.label == case.label), None)
                if same is not None:
                    rows.append(_compare_case(base_row, _make_row(other, match, same, kind, relative_to)))
    return TaskComparison(task, (base, *(other for other, _ in matching)), relative_to, tuple(_judge(rows)))


def _make_row(run: StoredRun, task: TaskLaunches, case: CaseLaunches, kind: Kind, relative_to: str) -> CaseRow:
    reference = task.reference(relative_to)
    if reference is None or case is reference:
        return CaseRow(run, case, kind)
    return CaseRow(run, case, kind, reference, Comparisons(task, KINDS).is_certain(case, reference, kind))


def _compare_case(base: CaseRow, row: CaseRow) -> CaseRow:
    if reason := find_case_difference(base.case, row.case):
        return replace(row, reason=reason)
    rates = [_list_log_rates(one.case, one.kind) for one in (row, base)]
    logs = [_list_log_ratios(one) for one in (row, base)]
    return replace(
        row,
        over_base=compare_unpaired(*rates) if all(rates) else None,
        change=compare_unpaired(*logs) if all(logs) else None,
    )


def _list_log_rates(case: CaseLaunches, kind: Kind) -> list[float]:
    """ln(images per second) of the median round, one per launch."""
    return [-math.log(median(seconds)) for seconds in case.seconds_per_image(kind).values()]


def _list_log_ratios(row: CaseRow) -> list[float]:
    """ln(throughput over the reference's), one per launch that both have."""
    if row.reference is None or row.case.why_not_comparable(row.reference):
        return []
    return row.case.log_ratios(row.reference, row.kind)


def _judge(rows: Sequence[CaseRow]) -> Iterator[CaseRow]:
    """Correct the p of all comparisons of a task for their number, separately for the two questions."""
    own = _adjust([row.over_base for row in rows])
    changes = _adjust([row.change for row in rows])
    for row, certain, change_certain in zip(rows, own, changes, strict=True):
        yield replace(row, certain=certain, change_certain=change_certain)


def _adjust(ratios: Sequence[UnpairedRatio | None]) -> list[bool]:
    adjusted = iter(adjust_by_holm([ratio.p for ratio in ratios if ratio]))
    return [ratio is not None and next(adjusted) < SIGNIFICANT for ratio in ratios]
