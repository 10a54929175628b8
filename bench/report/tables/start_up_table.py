"""The start-up table: seconds before training reaches its speed, and the steps after which they are amortised."""

from __future__ import annotations

import statistics

from bench.analysis.break_even import compute_break_even
from bench.analysis.launches import CaseLaunches, TaskLaunches
from bench.analysis.statistics import mean
from bench.records.record import Record, StartUp
from bench.report.tables.number_format import explain_unknown_lead, format_interval
from bench.report.tables.table import Cell, Column, Table

#: The parts of the start-up, fields of `StartUp`.
FIELDS = ("import_s", "build_s", "first_step_s")


def build_start_up_table(task: TaskLaunches, relative_to: str) -> Table:
    """Build the table, one row per case: means over its launches."""
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
            "import: of the framework; build: of the model; first step: includes trace and compilation; mean over "
            "launches [95 % interval]",
            "break-even: training steps after which a longer start-up is amortised by faster steps (ahead after), or "
            "the lead of a shorter start-up is lost to slower steps (behind after) [least–most over launches]",
        ),
    )


def _row(case: CaseLaunches, reference: CaseLaunches | None) -> tuple[Cell, ...]:
    starts = [record.start_up for record in case.finished if record.start_up]
    if not starts:
        return (Cell(case.label), Cell(case.placeholder), Cell("–"), Cell("–"), Cell("–"))
    means = (mean([getattr(start, field) for start in starts]) for field in FIELDS)
    texts = (format_interval(one, lambda seconds: f"{max(0.0, seconds):,.2f}") for one in means)
    return (Cell(case.label), *(Cell(text) for text in texts), Cell(_describe_break_even(case, reference)))


def _describe_break_even(case: CaseLaunches, reference: CaseLaunches | None) -> str:
    if reference is None or case is reference or case.why_not_comparable(reference):
        return "–"
    ratio = case.ratio_to(reference, "pipeline")
    if ratio is None:
        return "–"
    if reason := explain_unknown_lead(ratio):
        return f"unknown: {reason}"
    theirs = {record.launch: record for record in reference.finished}
    pairs = [(record, theirs[record.launch]) for record in case.finished if record.launch in theirs]
    complete = [(mine, other) for mine, other in pairs if _is_complete(mine) and _is_complete(other)]
    if not complete:
        return "–"
    longer_start_s = [_start_up_s(mine.start_up) - _start_up_s(other.start_up) for mine, other in complete]
    shorter_step_s = [_step_s(other) - _step_s(mine) for mine, other in complete]
    return compute_break_even(longer_start_s, shorter_step_s).describe()


def _is_complete(record: Record) -> bool:
    return bool(record.start_up and record.pipeline)


def _start_up_s(start: StartUp | None) -> float:
    """Return the seconds of all parts of a start-up."""
    return sum(getattr(start, field) for field in FIELDS)


def _step_s(record: Record) -> float:
    """Return the seconds of a training step in the median round."""
    return statistics.median(record.pipeline.seconds) / record.pipeline.steps if record.pipeline else 0.0
