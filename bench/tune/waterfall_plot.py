"""The waterfall plot of an explanation: from default to tuned one knob at a time, and tuned without each knob."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.analysis.statistics import Interval
from bench.tune.explanation import Explanation, KnobEffect

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".png", ".svg", ".pdf")
DOTS_PER_INCH = 150
FASTER, SLOWER, TOTAL = "#2a7f62", "#b5443c", "#8a8f98"


def draw(explanation: Explanation, title: str, file: Path) -> None:
    """Draw the plot into a file.

    Args:
        explanation: at least one knob.
        title: above the plot.
        file: its suffix is one of `FORMATS`.

    Raises:
        OSError: the file cannot be written.
    """
    # Imported here, because the import takes longer than `bench --help` may.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    effects = explanation.effects
    labels = ["default", *(f"{effect.knob}\n{effect.value}" for effect in effects), "tuned"]
    figure = Figure(figsize=(11, 1.9 + 0.55 * len(labels)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=11)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    _draw_cumulative(left, effects)
    _draw_removals(right, effects)
    left.set_yticks(range(len(labels)), labels)
    left.set_ylim(len(labels) - 0.5, -0.5)
    content = io.BytesIO()
    figure.savefig(content, format=file.suffix[1:], dpi=DOTS_PER_INCH)
    file.write_bytes(content.getvalue())


def _draw_cumulative(axes: Axes, effects: Sequence[KnobEffect]) -> None:
    ends = [1.0]
    for effect in effects:
        ends.append(effect.over_default.estimate if effect.over_default else ends[-1])
    tuned, tuned_row = effects[-1].over_default, len(effects) + 1
    axes.barh(0, 1.0, color=TOTAL)
    axes.text(1.0, 0, " 1.00", va="center")
    for row, (effect, before, end) in enumerate(zip(effects, ends[:-1], ends[1:], strict=True), start=1):
        axes.barh(row, end - before, left=before, color=FASTER if end >= before else SLOWER)
        axes.plot([before, before], [row - 1.4, row + 0.4], color=TOTAL, linewidth=0.8)
        _draw_interval(axes, row, effect.over_default)
        _write_figure(axes, row, effect.over_default, max(before, end))
    axes.plot([ends[-1], ends[-1]], [tuned_row - 1.4, tuned_row + 0.4], color=TOTAL, linewidth=0.8)
    axes.barh(tuned_row, ends[-1], color=TOTAL)
    _draw_interval(axes, tuned_row, tuned)
    _write_figure(axes, tuned_row, tuned, ends[-1])
    axes.set_xlim(0, max(ends + [effect.over_default.high or 0 for effect in effects if effect.over_default]) * 1.25)
    axes.set_xlabel("training steps per second, × those of default")
    axes.set_title("knobs set one after the other", fontsize=10)


def _draw_removals(axes: Axes, effects: Sequence[KnobEffect]) -> None:
    axes.axvline(1.0, color=TOTAL, linewidth=0.8)
    furthest = 1.0
    for row, effect in enumerate(effects, start=1):
        speedup = effect.over_without
        if speedup is None:
            axes.text(1.0, row, "  died", va="center", color=SLOWER)
            continue
        axes.plot(speedup.estimate, row, "o", color=FASTER if speedup.estimate >= 1 else SLOWER)
        _draw_interval(axes, row, speedup)
        _write_figure(axes, row, speedup, speedup.estimate)
        furthest = max(furthest, speedup.high or speedup.estimate)
    low, high = axes.get_xlim()
    axes.set_xlim(low, max(high, furthest + 0.3 * (furthest - min(low, 1.0))))
    axes.set_xlabel("training steps per second of tuned, × those of tuned without this knob")
    axes.set_title("one knob removed from tuned", fontsize=10)


def _draw_interval(axes: Axes, row: int, speedup: Interval | None) -> None:
    if speedup is not None and speedup.low is not None and speedup.high is not None:
        reach = [[speedup.estimate - speedup.low], [speedup.high - speedup.estimate]]
        axes.errorbar(speedup.estimate, row, xerr=reach, color="black", capsize=3, linewidth=1)


def _write_figure(axes: Axes, row: int, speedup: Interval | None, end: float) -> None:
    """Write the speed-up to the right of its bar, which ends at `end`, and of its interval."""
    right = max(end, speedup.high if speedup and speedup.high is not None else end)
    text = f"{speedup.estimate:.2f}" if speedup else "died"
    axes.annotate(text, (right, row), (6, 0), textcoords="offset points", va="center")
