"""Plots over two axes: lines, and heat maps."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from bench.report.figures.case_colours import choose_colours, choose_markers
from bench.report.figures.figure import HeatMap, LinePlot
from bench.report.html.axis import format_tick
from bench.report.html.field_drawings import count_coinciding, fit_axes
from bench.report.html.visible_text import make_visible
from bench.report.plots.row_plots import GRID, INK, SHAPES, set_x_axis

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Lines of one colour have these in turn.
DASHES = ("-", "--", ":", "-.")
#: A map whose lightness grows evenly, for people with any form of colour blindness.
HEAT_MAP = "YlGnBu"
#: Share of the range above which a cell is dark, and its text white.
DARK = 0.55


def draw_line_plot(axes: Axes, plot: LinePlot) -> None:
    """Draw the lines with the intervals of their points, the target, and a legend."""
    x, y = fit_axes(plot)
    cases = [line.case for line in plot.lines]
    colours, markers = choose_colours(cases), choose_markers(cases)
    seen: Counter[str] = Counter()
    for number, line in enumerate(plot.lines):
        later = count_coinciding(plot, number)
        colour = colours[line.case]
        dash = DASHES[seen[colour] % len(DASHES)]
        seen[colour] += 1
        places = [point.x for point in line.points], [point.y for point in line.points]
        axes.plot(
            *places, dash, color=colour, marker=SHAPES[markers[line.case]], markersize=4.5 + 2.5 * later,
            linewidth=1.6 + 2.0 * later,            label=make_visible(line.label or line.case),
        )  # fmt: skip
        for point in line.points:
            if point.low is not None and point.high is not None:
                axes.plot([point.x, point.x], [point.low, point.high], color=colour, alpha=0.45, linewidth=1)
    if plot.target is not None:
        axes.axhline(plot.target, color=INK, linewidth=1, linestyle=(0, (4, 3)), label=make_visible(plot.target_label))
    axes.set_ylim(y.low, y.high)
    axes.set_yticks(y.ticks(), [f"{format_tick(tick)}{plot.y_unit}" for tick in y.ticks()])
    axes.grid(axis="y", color=GRID, linewidth=0.7)
    axes.set_ylabel(make_visible(plot.y_title))
    set_x_axis(axes, x, plot.x_title)
    axes.legend(loc="best", fontsize=8, frameon=True, framealpha=0.9, edgecolor=GRID)


def draw_heat_map(axes: Axes, plot: HeatMap) -> None:
    """Draw cells with a colour from the lowest value to the highest, and the best with a frame."""
    known = [value for row in plot.values for value in row if value is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    span = (high - low) or 1.0
    values = [[float("nan") if value is None else value for value in row] for row in plot.values]
    axes.imshow(values, cmap=HEAT_MAP, vmin=low, vmax=low + span, aspect="auto")
    for r, texts in enumerate(plot.texts):
        for c, text in enumerate(texts):
            value = plot.values[r][c]
            dark = value is not None and (value - low) / span > DARK
            best = plot.best == (r, c)
            axes.text(
                c, r, f"★ {text}" if best else text, ha="center", va="center", color="white" if dark else INK,
                fontweight="bold" if best else "normal",
            )  # fmt: skip
    axes.set_xticks(range(len(plot.columns)), [make_visible(name) for name in plot.columns])
    axes.set_yticks(range(len(plot.rows)), [make_visible(name) for name in plot.rows])
    axes.tick_params(length=0)
    axes.set_xlabel(make_visible(plot.x_title))
    axes.set_ylabel(make_visible(plot.y_title))
