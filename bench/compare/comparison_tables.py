"""The tables of `bench compare`: the runs, what differs, and the ratios, one row per case and run."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.launches import Kind
from bench.analysis.statistics import Interval
from bench.compare.differences import Difference, list_differences
from bench.compare.run_comparison import CaseRow, RunComparison, TaskComparison
from bench.compare.stored_run import StoredRun
from bench.report.tables.number_format import format_interval, format_rate, format_ratio
from bench.report.tables.table import Cell, Column, Table
from bench.report.tables.throughput_table import KINDS

OTHER_MACHINES = "images/s of different machines differ for the machines' sake, too; compare the ratios within each run"


def build_tables(comparison: RunComparison, kinds: Sequence[Kind] = KINDS) -> list[Table]:
    """Build the tables of these kinds of rounds, what differs first."""
    tables = [build_runs_table(comparison.runs), build_differences_table(comparison.runs)]
    for task in comparison.tasks:
        for kind in kinds:
            tables += [build_base_table(task, kind), build_reference_table(task, kind)]
    if comparison.left_out:
        tables.append(build_left_out_table(comparison.left_out))
    return [table for table in tables if table.rows]


def build_runs_table(runs: Sequence[StoredRun]) -> Table:
    """Build the table of the runs, with the letters that the other tables call them by."""
    rows = [(Cell(run.letter), Cell(run.name), Cell(run.measured), Cell(run.machine)) for run in runs]
    return Table(
        title="Runs",
        columns=tuple(Column(name, figures=False) for name in ("letter", "run", "measured (UTC)", "machine")),
        rows=tuple(rows),
    )


def build_differences_table(runs: Sequence[StoredRun]) -> Table:
    """Build the table of what differs; a single row says so where nothing does."""
    found = list_differences(runs)
    known = all(run.fingerprint for run in runs)
    rows = [_build_difference_row(one) for one in found]
    notes = [] if known else [f"machine and software are not known of {_list_unknown(runs)}"]
    if not found:
        nothing = "nothing was found to differ" if known else "nothing that is known"
        rows = [(Cell(nothing), *(Cell("") for _ in range(1 + len(runs))))]
    return Table(
        title="What differs",
        columns=tuple(Column(name, figures=False) for name in ("kind", "what", *(run.letter for run in runs))),
        rows=tuple(rows),
        notes=tuple(notes),
    )


def build_base_table(task: TaskComparison, kind: Kind) -> Table:
    """Build the table of each run against the first: throughput, and its ratio to that of the same case there."""
    base = task.runs[0]
    strangers = [run.letter for run in task.runs[1:] if not run.is_same_machine(base)]
    notes = [
        f"over {base.letter}: throughput as a multiple of that of the same case in {base.letter}, with Welch's 95 % "
        "interval over the launches of both runs",
    ]
    if strangers:
        notes.append(f"{', '.join(strangers)} and {base.letter} are of different machines: {OTHER_MACHINES}")
    return Table(
        title=f"Run against run, {kind}: {task.task.name}",
        columns=(
            Column("case", figures=False),
            Column("run", figures=False),
            Column("images/s"),
            Column(f"over {base.letter}"),
        ),
        rows=tuple(
            (
                Cell(row.case.label),
                Cell(row.run.letter),
                Cell(format_rate(row.case, kind)),
                Cell(format_over_base(row, base)),
            )
            for row in task.list_rows(kind)
        ),
        notes=tuple(notes),
    )


def build_reference_table(task: TaskComparison, kind: Kind) -> Table:
    """Build the table of the ratios between the cases of each run, and how they differ from those of the first run."""
    base = task.runs[0]
    reference = task.task.reference(task.relative_to)
    name = reference.label if reference else task.relative_to
    rows = [row for row in task.list_rows(kind) if row.reference is not None]
    return Table(
        title=f"Within each run, {kind}: {task.task.name}",
        columns=(
            Column("case", figures=False),
            Column("run", figures=False),
            Column(f"ratio to {name}"),
            Column(f"over the ratio of {base.letter}"),
        ),
        rows=tuple(
            (
                Cell(row.case.label),
                Cell(row.run.letter),
                Cell(format_ratio_within(row)),
                Cell(format_change(row, base)),
            )
            for row in rows
        ),
        notes=(
            f"ratio to {name}: from launches of one run, which were interleaved: it may be compared between machines",
            f"over the ratio of {base.letter}: above 1, the case has gained on {name}",
        ),
    )


def build_left_out_table(lines: Sequence[str]) -> Table:
    """Build the table of tasks and cases that are not compared."""
    return Table(
        title="Not compared",
        columns=(Column("what differs, or where it is", figures=False),),
        rows=tuple((Cell(line),) for line in lines),
    )


def format_over_base(row: CaseRow, base: StoredRun) -> str:
    """Format the ratio of a case's throughput to that in the base; of other machines without a decision."""
    if row.run is base:
        return "1"
    if row.reason:
        return f"not compared: {row.reason}"
    if row.over_base is None:
        return "–"
    if not row.run.is_same_machine(base):
        return f"{format_multiple(row.over_base.interval)}, other machine"
    return format_ratio(row.over_base.interval, row.certain)


def format_multiple(ratio: Interval) -> str:
    """Format a ratio without a decision about it."""
    digits = 2 if ratio.estimate < 10 else 1
    return format_interval(ratio, lambda value: f"{value:.{digits}f}")


def format_ratio_within(row: CaseRow) -> str:
    """Format the ratio of a case to the reference of its own run, as that run's own table does."""
    if row.reference is None or row.case.throughput(row.kind) is None:
        return "–"
    if reason := row.case.why_not_comparable(row.reference):
        return f"not comparable: {reason}"
    ratio = row.case.ratio_to(row.reference, row.kind)
    return "no common launch" if ratio is None else format_ratio(ratio, row.certain_within)


def format_change(row: CaseRow, base: StoredRun) -> str:
    """Format how a ratio within a run differs from the base's."""
    if row.run is base:
        return "1"
    return "–" if row.change is None else format_ratio(row.change.interval, row.change_certain)


def _build_difference_row(one: Difference) -> tuple[Cell, ...]:
    return (Cell(one.kind), Cell(one.name), *(Cell(value) for value in one.values))


def _list_unknown(runs: Sequence[StoredRun]) -> str:
    return ", ".join(run.letter for run in runs if not run.fingerprint)
