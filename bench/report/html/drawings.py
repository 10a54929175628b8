"""The drawing of every kind of figure, with the text that stands for it where it cannot be seen."""

from __future__ import annotations

from markupsafe import Markup

from bench.report.figures.figure import (
    DotPlot,
    Figure,
    ForestPlot,
    GroupedBars,
    HeatMap,
    LinePlot,
    StackedBars,
    Waterfall,
)
from bench.report.html.axis import format_tick
from bench.report.html.field_drawings import draw_heat_map, draw_line_plot
from bench.report.html.row_drawings import (
    draw_dot_plot,
    draw_forest_plot,
    draw_grouped_bars,
    draw_stacked_bars,
    draw_waterfall,
    is_cut_off,
)

#: Points of a line that its description names.
MOST_POINTS = 12


def draw_figure(figure: Figure) -> Markup:
    """Draw a figure, without its title and its sentence."""
    match figure:
        case ForestPlot():
            return draw_forest_plot(figure)
        case DotPlot():
            return draw_dot_plot(figure)
        case StackedBars():
            return draw_stacked_bars(figure)
        case GroupedBars():
            return draw_grouped_bars(figure)
        case LinePlot():
            return draw_line_plot(figure)
        case HeatMap():
            return draw_heat_map(figure)
        case Waterfall():
            return draw_waterfall(figure)


def explain_figure(figure: Figure) -> str:
    """How to read a figure, with what its drawing has cut off."""
    if isinstance(figure, ForestPlot | DotPlot) and is_cut_off(figure):
        return f"{figure.how_to_read} A line without a bar at its end goes on beyond the axis."
    return figure.how_to_read


def describe_figure(figure: Figure) -> str:
    """Describe what a figure shows in text, for those who cannot see it."""
    match figure:
        case ForestPlot():
            notes = (f" ({row.note})" if row.note else "" for row in figure.rows)
            rows = [f"{row.label or row.case}: {row.text}{note}" for row, note in zip(figure.rows, notes, strict=True)]
            about = figure.x_title
        case DotPlot():
            rows = [f"{row.label or row.case}: {row.text}" for row in figure.rows]
            about = figure.x_title
        case StackedBars():
            rows = [
                f"{row.label or row.case}: {row.text}, of it "
                + ", ".join(f"{part} {value:,.2f}" for part, value in zip(figure.parts, row.values, strict=True))
                for row in figure.rows
            ]
            about = figure.x_title
        case GroupedBars():
            rows = [
                f"{group.label}: " + ", ".join(f"{bar.label or bar.case} {bar.text}" for bar in group.bars)
                for group in figure.groups
            ]
            about = figure.x_title
        case LinePlot():
            about = f"{figure.y_title}, over {figure.x_title}"
            if figure.target is not None:
                about += f"; {figure.target_label or 'target'} {format_tick(figure.target)}{figure.y_unit}"
            rows = [
                f"{line.label or line.case}: "
                + ", ".join(
                    f"{point.y:,.4g}{figure.y_unit} at {point.x:,.4g}"
                    for point in line.points[:: 1 + len(line.points) // MOST_POINTS]
                )
                for line in figure.lines
            ]
        case HeatMap():
            about = f"{figure.value_title}, {figure.y_title} by {figure.x_title}"
            rows = [
                f"{name}: " + ", ".join(f"{column} {text}" for column, text in zip(figure.columns, texts, strict=True))
                for name, texts in zip(figure.rows, figure.texts, strict=True)
            ]
        case Waterfall():
            rows = [f"{step.label}: {step.text}" for step in figure.steps]
            about = figure.x_title
    return f"{about}. {'; '.join(rows)}."
