"""The start-up table: what is spent before training runs at its pace, and after how many steps it is paid for."""

from __future__ import annotations

import statistics

from bench.analysis.break_even import break_even
from bench.analysis.launches import CaseLaunches, TaskLaunches
from bench.analysis.statistics import mean
from bench.records.record import Record, StartUp
from bench.report.tables.number_format import with_interval
from bench.report.tables.table import Cell, Column, Table

FIELDS = ("import_s", "build_s", "first_step_s")


def start_up_table(task: TaskLaunches, relative_to: str) -> Table:
    """One row per case: means over its launches, one figure a launch."""
    reference = task.reference(relative_to)
    return Table(
        title=f"Start-up: {task.name}",
        columns=(
            Column("case", figures=False),
            Column("import s"),
            Column("build s"),
            Column("first step s"),
            Column(f"break-even with {reference.label if reference else relative_to}", figures=False),
        ),
        rows=tuple(_row(case, reference) for case in task.cases),
        notes=(
            "seconds of importing the framework, of building, and of the first step, which traces and compiles; mean "
            "over launches [95 % interval]; break-even: the training steps after which a dearer start is paid for by "
            "quicker steps, or a cheaper one used up by slower ones [least–most over launches]",
        ),
    )


def _row(case: CaseLaunches, reference: CaseLaunches | None) -> tuple[Cell, ...]:
    starts = [record.start_up for record in case.finished if record.start_up]
    if not starts:
        return (Cell(case.label), Cell(case.absence), Cell("–"), Cell("–"), Cell("–"))
    figures = (mean([getattr(start, field) for start in starts]) for field in FIELDS)
    told = (with_interval(figure, lambda seconds: f"{max(0.0, seconds):,.2f}") for figure in figures)
    return (Cell(case.label), *(Cell(text) for text in told), Cell(_break_even(case, reference)))


def _break_even(case: CaseLaunches, reference: CaseLaunches | None) -> str:
    if reference is None or case is reference or case.not_comparable(reference):
        return "–"
    compared = case.faster_than(reference, "pipeline")
    if compared is None:
        return "–"
    if not compared.excludes(1):
        return "open: no difference in speed found"
    theirs = {record.launch: record for record in reference.finished}
    pairs = [(record, theirs[record.launch]) for record in case.finished if record.launch in theirs]
    dearer = [_spent(mine.start_up) - _spent(other.start_up) for mine, other in pairs if _complete(mine, other)]
    quicker = [_step(other) - _step(mine) for mine, other in pairs if _complete(mine, other)]
    if not dearer:
        return "–"
    return break_even(dearer, quicker).told()


def _complete(*records: Record) -> bool:
    return all(record.start_up and record.pipeline for record in records)


def _spent(start: StartUp | None) -> float:
    return sum(getattr(start, field) for field in FIELDS)


def _step(record: Record) -> float:
    """Seconds of a training step."""
    return statistics.median(record.pipeline.seconds) / record.pipeline.steps if record.pipeline else 0.0
