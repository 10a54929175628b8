"""The figures of a task's start-up: its parts, and where a longer one is amortised."""

from __future__ import annotations

from statistics import fmean, median

from bench.analysis.launches import CaseLaunches, TaskLaunches
from bench.report.figures.figure import Line, LinePlot, Point, StackedBar, StackedBars

#: The parts of the start-up, with their fields of `StartUp`.
PARTS = {
    "process": "process_s",
    "import": "import_s",
    "data": "data_s",
    "build": "build_s",
    "extraction": "extraction_s",
    "first step": "first_step_s",
}


def build_start_up_bars(task: TaskLaunches) -> StackedBars:
    """Build the bars: one per case, with the seconds until the first batch is trained, means over launches."""
    parts = {name: field for name, field in PARTS.items() if name != "extraction" or task.division == "cached"}
    rows = []
    for case in task.cases:
        starts = [record.start_up for record in case.finished if record.start_up]
        values = tuple(fmean(getattr(start, f) for start in starts) if starts else 0.0 for f in parts.values())
        rows.append(StackedBar(case.label, values, f"{sum(values):,.2f} s" if starts else case.placeholder))
    return StackedBars(
        title="Start-up: seconds until the first batch is trained",
        how_to_read=(
            "A bar is the time before training reaches its speed, which every fine-tune pays once; its parts are means "
            "over launches. The first step includes trace and compilation. Shorter is better."
        ),
        x_title="seconds",
        parts=tuple(parts),
        rows=tuple(rows),
    )


def build_break_even_plot(task: TaskLaunches) -> LinePlot | None:
    """Build the seconds since the start of the process over training steps, one line per case; None without any."""
    ends = {case.label: end for case in task.cases if (end := _measure(case))}
    if not ends:
        return None
    starts, steps = zip(*ends.values(), strict=True)
    crossings = [
        (one[0] - other[0]) / (other[1] - one[1])
        for one in ends.values()
        for other in ends.values()
        if other[1] > one[1] and one[0] > other[0]
    ]
    # Twice the middle crossing, or as many steps as take as long as the longest start-up.
    last = 2 * median(crossings) if crossings else max(starts) / min(steps)
    last = max(10.0, float(round(last)))
    return LinePlot(
        title="Break-even: seconds since the start, over training steps",
        how_to_read=(
            "A line starts at a case's start-up and climbs by the seconds of its step. Where two lines cross, the "
            "case with the longer start-up overtakes the other; a lower line is ahead."
        ),
        x_title="training steps, pipeline",
        y_title="seconds since the start of the process",
        lines=tuple(
            Line(label, (Point(0, start), Point(last, start + last * step))) for label, (start, step) in ends.items()
        ),
        y_unit=" s",
    )


def _measure(case: CaseLaunches) -> tuple[float, float] | None:
    """Seconds of the start-up, and of a step with the input pipeline: means over launches; None without them."""
    complete = [record for record in case.finished if record.start_up and record.pipeline]
    if not complete:
        return None
    starts = [sum(getattr(record.start_up, field) for field in PARTS.values()) for record in complete]
    steps = [median(r.pipeline.seconds) / r.pipeline.steps for r in complete if r.pipeline]
    return fmean(starts), fmean(steps)
