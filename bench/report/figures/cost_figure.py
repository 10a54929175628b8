"""The stacked bars of whole fine-tunes: where the seconds go."""

from __future__ import annotations

from statistics import median

from bench.analysis.launches import TaskLaunches
from bench.report.figures.figure import StackedBar, StackedBars
from bench.report.tables.cost_tables import PARTS, list_wall_times


def build_cost_bars(task: TaskLaunches) -> StackedBars:
    """Build the bars: one per case, with the parts of the wall time in seconds, medians over fine-tunes."""
    parts = {"start and rest": "rest", **{name: field for name, field in PARTS.items() if field != "rest"}}
    if task.division != "cached":
        parts.pop("extraction")
    rows = []
    for case in task.cases:
        times = list_wall_times(case)
        if not times:
            rows.append(StackedBar(case.label, (0.0,) * len(parts), case.placeholder))
            continue
        values = tuple(median(getattr(one, field) for one in times) for field in parts.values())
        rows.append(StackedBar(case.label, values, f"{median(one.wall for one in times):,.1f} s"))
    return StackedBars(
        title="Whole fine-tune: where the time goes",
        how_to_read=(
            "A bar is what a person waits for, from the start of the process to the end of the evaluation; its parts "
            "are medians over fine-tunes. Shorter is better. Compute and input pipeline grow with the "
            "number of epochs; all other parts are paid once."
        ),
        x_title="seconds",
        parts=tuple(parts),
        rows=tuple(rows),
    )
