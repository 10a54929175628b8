"""Plots of rows: a name at the left, marks in the middle, the figure as text at the right."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.analysis.statistics import Interval
from bench.report.figures.case_colours import BETTER, PART_COLOURS, TOTAL, WORSE, choose_colours, choose_markers
from bench.report.figures.figure import DotPlot, ForestPlot, GroupedBars, StackedBars, Waterfall
from bench.report.html.axis import Axis, fit_axis, format_tick
from bench.report.html.row_drawings import list_dot_ends, list_forest_ends
from bench.report.html.visible_text import make_visible

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: matplotlib's markers by the names of `bench.report.figures.case_colours`.
SHAPES = {"circle": "o", "diamond": "D", "square": "s", "triangle": "^", "cross": "X"}
INK, GRID = "#222222", "#d9dce1"
#: Share of the axis from which a part of a bar has its figure within it.
WIDE_PART = 0.07
#: Characters in a line of a row's name, and of its figure.
NAME_LENGTH, TEXT_LENGTH = 32, 36


def draw_forest_plot(axes: Axes, plot: ForestPlot) -> None:
    """Draw estimates with their intervals, and the line that they are compared with."""
    cases = [row.case for row in plot.rows]
    colours, markers = choose_colours(cases), choose_markers(cases)
    scale = fit_axis(list_forest_ends(plot), logarithmic=plot.logarithmic)
    for number, row in enumerate(plot.rows):
        if row.interval:
            colour = colours[row.case]
            draw_interval(axes, scale, row.interval, number, colour)
            face = colour if row.certain else "white"
            axes.plot(
                row.interval.estimate,
                number,
                SHAPES[markers[row.case]],
                color=colour,
                markerfacecolor=face,
                markersize=7,
            )
    if plot.line is not None:
        axes.axvline(plot.line, color=INK, linewidth=1, zorder=0)
    label_rows(axes, [row.label or row.case for row in plot.rows], [row.text for row in plot.rows])
    set_x_axis(axes, scale, plot.x_title)


def draw_dot_plot(axes: Axes, plot: DotPlot) -> None:
    """Draw every value as a dot, a line of dots per group, and the interval of all of them below."""
    cases = [row.case for row in plot.rows]
    colours, markers = choose_colours(cases), choose_markers(cases)
    scale = fit_axis(list_dot_ends(plot))
    for number, row in enumerate(plot.rows):
        colour = colours[row.case]
        for at, group in enumerate(row.groups):
            y = number - 0.35 + 0.5 * (at + 0.5) / len(row.groups)
            axes.plot(group.values, [y] * len(group.values), "o", color=colour, alpha=0.45, markersize=3, linewidth=0)
            axes.plot(group.centre, y, "|", color=colour, markersize=7)
        if row.interval:
            draw_interval(axes, scale, row.interval, number + 0.28, colour)
            axes.plot(row.interval.estimate, number + 0.28, SHAPES[markers[row.case]], color=colour, markersize=6)
    label_rows(axes, [row.label or row.case for row in plot.rows], [row.text for row in plot.rows])
    set_x_axis(axes, scale, plot.x_title)


def draw_stacked_bars(axes: Axes, figure: StackedBars) -> None:
    """Draw a bar per case that consists of its parts, with a legend."""
    scale = fit_axis([0.0, *(sum(row.values) for row in figure.rows)], zero=True)
    for number, row in enumerate(figure.rows):
        start = 0.0
        for part, value in enumerate(row.values):
            axes.barh(number, value, left=start, color=PART_COLOURS[part % len(PART_COLOURS)], height=0.62)
            if value / (scale.high - scale.low) >= WIDE_PART:
                text = format_tick(float(f"{value:.3g}"))
                axes.text(start + value / 2, number, text, ha="center", va="center", fontsize=8, color=INK)
            start += value
    from matplotlib.patches import Patch

    patches = [Patch(color=PART_COLOURS[n % len(PART_COLOURS)], label=name) for n, name in enumerate(figure.parts)]
    used = [patch for n, patch in enumerate(patches) if any(row.values[n] > 0 for row in figure.rows)]
    label_rows(axes, [row.label or row.case for row in figure.rows], [row.text for row in figure.rows])
    set_x_axis(axes, scale, figure.x_title)
    draw_legend(axes, used)


def draw_grouped_bars(axes: Axes, figure: GroupedBars) -> None:
    """Draw groups of bars that start at 0, each with a tick at its second value."""
    bars = [bar for group in figure.groups for bar in group.bars]
    colours = choose_colours(bar.case for bar in bars)
    scale = fit_axis([0.0, *(max(bar.value, bar.mark or 0.0) for bar in bars)], zero=True)
    names, texts, places, at = [], [], [], 0.0
    for group in figure.groups:
        axes.text(0.0, at, make_visible(group.label), fontweight="bold", va="center", fontsize=9, color=INK)
        at += 1.0
        for bar in group.bars:
            axes.barh(at, bar.value, color=colours[bar.case], height=0.7)
            if bar.mark is not None:
                axes.plot([bar.mark, bar.mark], [at - 0.35, at + 0.35], color=INK, linewidth=1.5)
            names.append(bar.label or bar.case)
            texts.append(bar.text)
            places.append(at)
            at += 1.0
    label_rows(axes, names, texts, places)
    axes.set_ylim(at - 0.4, -0.6)
    set_x_axis(axes, scale, figure.x_title)


def draw_waterfall(axes: Axes, plot: Waterfall) -> None:
    """Draw a bar per step, from where the one before it ended."""
    ends = [end for step in plot.steps for end in (step.start, step.end, *_list_ends(step.interval))]
    scale = fit_axis([0.0, *ends], zero=True)
    for number, step in enumerate(plot.steps):
        colour = TOTAL if step.total else BETTER if step.end >= step.start else WORSE
        axes.barh(number, step.end - step.start, left=step.start, color=colour, height=0.6)
        if number + 1 < len(plot.steps):
            axes.plot([step.end, step.end], [number + 0.3, number + 1.3], color=TOTAL, linewidth=0.8, zorder=0)
        if step.interval:
            draw_interval(axes, scale, step.interval, number, INK, width=1.0)
    label_rows(axes, [step.label for step in plot.steps], [step.text for step in plot.steps])
    set_x_axis(axes, scale, plot.x_title)


def draw_interval(axes: Axes, scale: Axis, interval: Interval, y: float, colour: str, width: float = 1.8) -> None:
    """Draw an interval; an end that is beyond the axis has no cap."""
    if interval.low is None or interval.high is None:
        return
    low, high = max(interval.low, scale.low), min(interval.high, scale.high)
    axes.plot([low, high], [y, y], color=colour, linewidth=width, solid_capstyle="butt")
    for end, drawn in ((interval.low, low), (interval.high, high)):
        if end == drawn:
            axes.plot(end, y, "|", color=colour, markersize=8, markeredgewidth=1.3)


def wrap_name(name: str) -> str:
    """The name of a row in lines that leave space for the marks."""
    return "\n".join(textwrap.wrap(make_visible(name), NAME_LENGTH)) or " "


def wrap_text(text: str) -> str:
    """The figure of a row as text, in lines that leave space for the marks."""
    return "\n".join(textwrap.wrap(make_visible(text), TEXT_LENGTH))


def label_rows(axes: Axes, names: Sequence[str], texts: Sequence[str], places: Sequence[float] | None = None) -> None:
    """Put the names of rows at the left, their figures at the right, and the first row at the top."""
    at = list(places) if places is not None else [float(number) for number in range(len(names))]
    axes.set_yticks(at, [wrap_name(name) for name in names])
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_ylim(len(names) - 0.5, -0.5)
    for place, text in zip(at, texts, strict=True):
        axes.annotate(
            wrap_text(text),
            (1.0, place),
            (6, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=INK,
            annotation_clip=False,
        )


def set_x_axis(axes: Axes, scale: Axis, title: str) -> None:
    """Set the range, the ticks and the title of the x axis, as the pages have them."""
    if scale.logarithmic:
        axes.set_xscale("log")
    axes.set_xlim(scale.low, scale.high)
    ticks = scale.ticks()
    axes.set_xticks(ticks, [format_tick(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.grid(axis="x", color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_xlabel(make_visible(title))


def draw_legend(axes: Axes, handles: Sequence[object]) -> None:
    """Put a legend between the title and the axes."""
    axes.legend(
        handles=handles, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=min(len(handles), 5) or 1, frameon=False,
        fontsize=8, handlelength=1.2, columnspacing=1.2, borderaxespad=0.1,
    )  # fmt: skip


def _list_ends(interval: Interval | None) -> list[float]:
    return [] if interval is None or interval.low is None or interval.high is None else [interval.low, interval.high]
