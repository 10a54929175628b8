"""The plot of an explanation: from default to tuned one knob at a time, and what each is worth at the end."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.analysis.statistics import Interval
from bench.tune.explanation import Explanation, Step

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".png", ".svg", ".pdf")
DOTS_PER_INCH = 150
FASTER, SLOWER, WHOLE = "#2a7f62", "#b5443c", "#8a8f98"


def draw(explanation: Explanation, title: str, file: Path) -> None:
    """Draw it into `file`, whose ending is one of `FORMATS`.

    Raises:
        OSError: it cannot be written.
    """
    # Here, for importing it takes longer than `bench --help` may.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    steps = explanation.steps
    labels = ["default", *(f"{step.knob}\n{step.value}" for step in steps), "tuned"]
    figure = Figure(figsize=(11, 1.9 + 0.55 * len(labels)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    _path(left, steps)
    _removals(right, steps)
    left.set_yticks(range(len(labels)), labels)
    left.set_ylim(len(labels) - 0.5, -0.5)
    drawn = io.BytesIO()
    figure.savefig(drawn, format=file.suffix[1:], dpi=DOTS_PER_INCH)
    file.write_bytes(drawn.getvalue())


def _path(axes: Axes, steps: Sequence[Step]) -> None:
    ends = [1.0]
    for step in steps:
        ends.append(step.so_far.estimate if step.so_far else ends[-1])
    last = steps[-1].so_far
    axes.barh(0, 1.0, color=WHOLE)
    axes.text(1.0, 0, " 1.00", va="center")
    for at, (step, before, end) in enumerate(zip(steps, ends[:-1], ends[1:], strict=True), start=1):
        axes.barh(at, end - before, left=before, color=FASTER if end >= before else SLOWER)
        axes.plot([before, before], [at - 1.4, at + 0.4], color=WHOLE, linewidth=0.8)
        _interval(axes, at, step.so_far)
        _figure(axes, at, step.so_far, max(before, end))
    axes.plot([ends[-1], ends[-1]], [len(steps) - 0.4, len(steps) + 1.4], color=WHOLE, linewidth=0.8)
    axes.barh(len(steps) + 1, ends[-1], color=WHOLE)
    _interval(axes, len(steps) + 1, last)
    _figure(axes, len(steps) + 1, last, ends[-1])
    axes.set_xlim(0, max(ends + [step.so_far.high or 0 for step in steps if step.so_far]) * 1.25)
    axes.set_xlabel("training steps a second, × the default's")
    axes.set_title("one knob after the other", fontsize=10)


def _removals(axes: Axes, steps: Sequence[Step]) -> None:
    axes.axvline(1.0, color=WHOLE, linewidth=0.8)
    furthest = 1.0
    for at, step in enumerate(steps, start=1):
        found = step.without
        if found is None:
            axes.text(1.0, at, "  died", va="center", color=SLOWER)
            continue
        axes.plot(found.estimate, at, "o", color=FASTER if found.estimate >= 1 else SLOWER)
        _interval(axes, at, found)
        _figure(axes, at, found, found.estimate)
        furthest = max(furthest, found.high or found.estimate)
    low, high = axes.get_xlim()
    axes.set_xlim(low, max(high, furthest + 0.3 * (furthest - min(low, 1.0))))
    axes.set_xlabel("tuned's steps a second, × tuned's without this knob")
    axes.set_title("taken away at the end", fontsize=10)


def _interval(axes: Axes, at: int, found: Interval | None) -> None:
    if found is not None and found.low is not None and found.high is not None:
        reach = [[found.estimate - found.low], [found.high - found.estimate]]
        axes.errorbar(found.estimate, at, xerr=reach, color="black", capsize=3, linewidth=1)


def _figure(axes: Axes, at: int, found: Interval | None, end: float) -> None:
    """The figure, to the right of everything in its row."""
    right = max(end, found.high if found and found.high is not None else end)
    axes.annotate(
        f"{found.estimate:.2f}" if found else "died", (right, at), (6, 0), textcoords="offset points", va="center"
    )
