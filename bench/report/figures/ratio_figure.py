"""The forest plot of the ratios of a task: each case's throughput over the reference's."""

from __future__ import annotations

from bench.analysis.launches import CaseLaunches, Kind, TaskLaunches
from bench.analysis.statistics import Interval
from bench.report.figures.figure import ForestPlot, ForestRow
from bench.report.tables.comparisons import Comparisons
from bench.report.tables.number_format import format_ratio
from bench.report.tables.throughput_table import KINDS


def build_ratio_plot(task: TaskLaunches, relative_to: str, kind: Kind) -> ForestPlot:
    """Build the plot: one row per case, with the decisions that the throughput table makes.

    Args:
        task: its launches.
        relative_to: the case that ratios are relative to: `backend/variant`, or a backend.
        kind: of the rounds: `pipeline` or `compute`.
    """
    reference = task.reference(relative_to)
    comparisons = Comparisons(task, KINDS)
    name = reference.label if reference else relative_to
    return ForestPlot(
        title=f"{'Throughput' if kind == 'pipeline' else 'Compute throughput'}, × {name}",
        how_to_read=(
            f"The dot is how many times as fast as {name} a case trains, the line its 95 % interval; right of 1 is "
            "faster. A filled dot is a difference that is certain. An open one is not: where its line crosses 1, no "
            "difference was found; elsewhere it may still be chance, and more launches decide."
        ),
        x_title=f"{kind} throughput as a multiple of {name}",
        rows=tuple(_build_row(case, reference, kind, comparisons) for case in task.cases),
    )


def _build_row(case: CaseLaunches, reference: CaseLaunches | None, kind: Kind, comparisons: Comparisons) -> ForestRow:
    if case.throughput(kind) is None:
        return ForestRow(case.label, None, case.placeholder)
    if reason := case.why_not_comparable(reference):
        return ForestRow(case.label, None, f"not comparable: {reason}")
    if reference is None:
        return ForestRow(case.label, None, "no reference")
    if case is reference:
        return ForestRow(case.label, Interval(1.0, None, None), "1, the reference")
    ratio = case.ratio_to(reference, kind)
    if ratio is None:
        return ForestRow(case.label, None, "no common launch")
    certain = comparisons.is_certain(case, reference, kind)
    return ForestRow(case.label, ratio, format_ratio(ratio, certain), certain=certain)
