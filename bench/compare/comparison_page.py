"""The HTML page of a comparison of runs."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis.statistics import Interval
from bench.compare.comparison_sentences import describe_comparison
from bench.compare.comparison_tables import (
    OTHER_MACHINES,
    build_base_table,
    build_differences_table,
    build_left_out_table,
    build_reference_table,
    build_runs_table,
    format_change,
    format_over_base,
    format_ratio_within,
)
from bench.compare.run_comparison import CaseRow, RunComparison, TaskComparison
from bench.report.figures.figure import ForestPlot, ForestRow
from bench.report.html.page import Block, Heading, Page, Section, Switch, Text, When
from bench.report.html.run_page import KIND
from bench.report.tables.throughput_table import KINDS, Kind

#: The switch of the kind of rounds, as the page of a run has it.
KIND_SWITCH = Switch(KIND, "Training steps", (("pipeline", "with the input pipeline"), ("compute", "compute alone")))


def build_page(comparison: RunComparison) -> Page:
    """Build the page: the sentences, what differs, then the ratios."""
    base = comparison.runs[0]
    cautions = (
        [f"Other machines: {OTHER_MACHINES}."]
        if any(not run.is_same_machine(base) for run in comparison.runs[1:])
        else []
    )
    against = [block for task in comparison.tasks for block in _list_base_blocks(task)]
    within = [block for task in comparison.tasks for block in _list_reference_blocks(task)]
    differing = build_differences_table(comparison.runs)
    sections = [Section("Run against run", tuple(against)), Section("Within each run", tuple(within))]
    if comparison.left_out:
        sections.append(Section("Not compared", (build_left_out_table(comparison.left_out),)))
    return Page(
        title=f"Runs compared: {', '.join(run.name for run in comparison.runs)}",
        facts=f"{len(comparison.runs)} runs, the first is what the others are compared with",
        verdict=describe_comparison(comparison),
        opening=(
            build_runs_table(comparison.runs),
            differing,
            *(Text(caution, "warning") for caution in cautions),
        ),
        sections=tuple(section for section in sections if section.blocks),
        switches=(KIND_SWITCH,) if comparison.tasks else (),
    )


def _list_base_blocks(task: TaskComparison) -> Iterator[Block]:
    """A task run against run: a plot and a table for each kind of rounds."""
    yield Heading(task.task.name)
    for kind in KINDS:
        yield When({KIND: kind}, (_plot_base(task, kind), build_base_table(task, kind)))


def _list_reference_blocks(task: TaskComparison) -> Iterator[Block]:
    """The ratios of a task within each run, and how they differ."""
    yield Heading(task.task.name)
    for kind in KINDS:
        plots = (plot_ratios_by_run(task, kind), _plot_changes(task, kind))
        yield When({KIND: kind}, (*(plot for plot in plots if plot.rows), build_reference_table(task, kind)))


def plot_ratios_by_run(task: TaskComparison, kind: Kind) -> ForestPlot:
    """Plot the ratios of all runs to the reference of each, one row per case and run."""
    rows = [row for row in task.list_rows(kind) if row.reference is not None]
    name = next((row.reference.label for row in rows if row.reference), task.relative_to)
    return ForestPlot(
        title=f"Throughput, × {name} of the same run",
        how_to_read=(
            f"The dot is how many times as fast as {name} a case trains in its run, the line its 95 % interval; right "
            "of 1 is faster. Within a run cases were interleaved, so the rows of different machines may be compared."
        ),
        x_title=f"{kind} throughput as a multiple of {name} in the same run",
        rows=tuple(
            ForestRow(
                case=row.case.label,
                interval=None if row.case.why_not_comparable(row.reference) else _find_ratio(row),
                text=format_ratio_within(row),
                label=f"{row.case.label}, {row.run.letter}",
                certain=row.certain_within,
            )
            for row in rows
        ),
    )


def _find_ratio(row: CaseRow) -> Interval | None:
    return row.case.ratio_to(row.reference, row.kind) if row.reference else None


def _plot_base(task: TaskComparison, kind: Kind) -> ForestPlot:
    base = task.runs[0]
    rows = [row for row in task.list_rows(kind) if row.run is not base]
    return ForestPlot(
        title=f"Throughput, × that of {base.letter}",
        how_to_read=(
            f"The dot is how many times as fast as in {base.letter} a case trains, the line the 95 % interval over the "
            f"launches of both runs; right of 1 is faster than in {base.letter}. A filled dot is a certain difference; "
            "an open one may be chance, or is that of another machine."
        ),
        x_title=f"{kind} throughput as a multiple of that in {base.letter}",
        rows=tuple(
            ForestRow(
                case=row.case.label,
                interval=row.over_base.interval if row.over_base else None,
                text=format_over_base(row, base),
                label=f"{row.case.label}, {row.run.letter} over {base.letter}",
                certain=row.certain and row.run.is_same_machine(base),
            )
            for row in rows
        ),
    )


def _plot_changes(task: TaskComparison, kind: Kind) -> ForestPlot:
    base = task.runs[0]
    rows = [row for row in task.list_rows(kind) if row.run is not base and row.reference is not None]
    name = next((row.reference.label for row in rows if row.reference), task.relative_to)
    return ForestPlot(
        title=f"Ratios to {name}, × those of {base.letter}",
        how_to_read=(
            f"The dot is a case's ratio to {name} in its own run, divided by that in {base.letter}: right of 1 it has "
            f"gained on {name}. The line is the 95 % interval, and a filled dot is a certain difference."
        ),
        x_title=f"{kind} ratio to {name} as a multiple of that in {base.letter}",
        rows=tuple(
            ForestRow(
                case=row.case.label,
                interval=row.change.interval if row.change else None,
                text=format_change(row, base),
                label=f"{row.case.label}, {row.run.letter} over {base.letter}",
                certain=row.change_certain,
            )
            for row in rows
        ),
    )
