"""The results so far: what a launch has added to the answer, case by case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.launches import CaseLaunches, Kind, TaskLaunches, group_by_task
from bench.analysis.statistics import Interval
from bench.records.record import Record
from bench.report.tables.accuracy_table import compute_accuracy
from bench.report.tables.comparisons import Comparisons
from bench.report.tables.memory_tables import find_device_peak, find_host_peak
from bench.report.tables.throughput_table import KINDS

#: The kind of rounds that are shown while a run measures: training with the framework's own input pipeline.
SHOWN_KIND: Kind = "pipeline"


@dataclass(frozen=True)
class CaseSoFar:
    """The figures of a case so far.

    Attributes:
        case: its name, as `pytorch/default`.
        throughput: images per second of `pipeline` rounds; None if not measured.
        ratio: of its throughput to the reference's; None for the reference, and where there is none.
        certain: whether the difference from the reference is certain.
        note: what stands in place of a ratio.
        host_peak, device_peak: bytes.
        accuracy: share of the test images, 0..1; None if no fine-tune is finished, or with random weights.
    """

    case: str
    throughput: Interval | None
    ratio: Interval | None
    certain: bool
    note: str
    host_peak: float | None
    device_peak: float | None
    accuracy: float | None


@dataclass(frozen=True)
class TaskSoFar:
    """The figures of the cases of a task in one division, with the name of the case that ratios are relative to."""

    task: str
    division: str
    position: int
    launches: int
    reference: str | None
    cases: tuple[CaseSoFar, ...]


def sum_up(records: Sequence[Record], relative_to: str) -> list[TaskSoFar]:
    """Sum up the records of a run until now, for each task and division.

    Args:
        relative_to: see `bench.report.tables.build_tables`.
    """
    return [_sum_up_task(task, relative_to) for task in group_by_task(records)]


def _sum_up_task(task: TaskLaunches, relative_to: str) -> TaskSoFar:
    reference = task.reference(relative_to)
    comparisons = Comparisons(task, KINDS)
    return TaskSoFar(
        task=task.task.name,
        division=task.division,
        position=task.cases[0].first.position,
        launches=len({record.launch for case in task.cases for record in case.records}),
        reference=reference.label if reference else None,
        cases=tuple(_sum_up_case(case, reference, comparisons) for case in task.cases),
    )


def _sum_up_case(case: CaseLaunches, reference: CaseLaunches | None, comparisons: Comparisons) -> CaseSoFar:
    throughput, accuracy = case.throughput(SHOWN_KIND), compute_accuracy(case)
    ratio, note = None, ""
    if throughput is None:
        note = case.placeholder
    elif case.why_not_comparable(reference):
        note = "not comparable"
    elif reference is case:
        note = "1"
    elif reference is None or (ratio := case.ratio_to(reference, SHOWN_KIND)) is None:
        note = "no reference"
    return CaseSoFar(
        case=case.label,
        throughput=throughput,
        ratio=ratio,
        certain=ratio is not None and reference is not None and comparisons.is_certain(case, reference, SHOWN_KIND),
        note=note,
        host_peak=find_host_peak(case),
        device_peak=find_device_peak(case),
        accuracy=accuracy.estimate if accuracy else None,
    )


def format_ratio_so_far(case: CaseSoFar) -> str:
    """Format a ratio with its interval, `2.33 [1.32–4.10]`, or what stands in its place."""
    if case.ratio is None:
        return case.note
    digits = 2 if case.ratio.estimate < 10 else 1
    text = f"{case.ratio.estimate:.{digits}f}"
    if case.ratio.low is None or case.ratio.high is None:
        return text
    low, high = (
        f"{end:.{digits}f}" if 0.1 <= end < 1000 else f"{end:.1g}" for end in (case.ratio.low, case.ratio.high)
    )
    return f"{text} [{low}–{high}]"
