"""The dot plot of a task's throughput: every round, by launch."""

from __future__ import annotations

import statistics

from bench.analysis.launches import CaseLaunches, Kind, TaskLaunches
from bench.report.figures.figure import DotGroup, DotPlot, DotRow
from bench.report.tables.number_format import format_rate

#: The largest number of dots in a figure by default.
MOST_DOTS = 3000


def build_throughput_plot(task: TaskLaunches, kind: Kind, most_dots: int = MOST_DOTS) -> DotPlot:
    """Build the plot: a row per case, in it a line per launch.

    Args:
        task: its launches.
        kind: of the rounds.
        most_dots: where there are more rounds, each launch keeps its share of them, its extremes among them.
    """
    rounds = sum(len(each) for case in task.cases for each in case.seconds_per_image(kind).values())
    share = min(1.0, most_dots / rounds) if rounds else 1.0
    rows = tuple(_build_row(case, kind, share) for case in task.cases)
    omitted = rounds - sum(len(group.values) for row in rows for group in row.groups)
    thinned = f" {omitted:,} of {rounds:,} rounds are not drawn; the figures use all." if omitted else ""
    return DotPlot(
        title=f"Throughput of every round, {kind}",
        how_to_read=(
            "A dot is a round, a line of dots a launch, the first at the top, and the tick on it the median of its "
            "rounds. The marker below is the throughput of the case, with its 95 % interval. Right is faster; launches "
            f"that lie apart show how much one start of the process differs from the next.{thinned}"
        ),
        x_title=f"images per second, {kind}",
        rows=rows,
        omitted=omitted,
    )


def _build_row(case: CaseLaunches, kind: Kind, share: float) -> DotRow:
    groups = []
    for launch, seconds in case.seconds_per_image(kind).items():
        values = _thin([1 / each for each in seconds], share)
        groups.append(DotGroup(f"launch {launch}", values, 1 / statistics.median(seconds)))
    return DotRow(case.label, tuple(groups), case.throughput(kind), format_rate(case, kind))


def _thin(values: list[float], share: float) -> tuple[float, ...]:
    """Keep a share of the values, evenly over their ranks, with the smallest and the largest."""
    count = max(2, int(share * len(values))) if share else 0
    if share >= 1 or count >= len(values):
        return tuple(values)
    ranked = sorted(values)
    return tuple(ranked[round(i * (len(ranked) - 1) / (count - 1))] for i in range(count))
