"""A line plot on a terminal, in characters: each line has its letter, so that it can be read without colours, too."""

from __future__ import annotations

from itertools import pairwise
from string import ascii_lowercase

from rich.cells import cell_len, set_cell_size
from rich.text import Text

from bench.report.figures.case_colours import choose_colours
from bench.report.figures.figure import Line, LinePlot
from bench.report.html.axis import Axis, fit_axis, format_tick

#: The width and the height of the field in characters, without axes.
WIDTH, HEIGHT = 78, 14
BETWEEN, TARGET = "·", "┄"
Grid = list[list[tuple[str, str]]]


def draw_line_plot(plot: LinePlot, width: int = WIDTH) -> Text:
    """Draw a plot with its title, its axes and its legend, at most `width` characters wide.

    Args:
        plot: at least one line, and at most 26; each with a point.
        width: of the whole plot.
    """
    points = [point for line in plot.lines for point in line.points]
    x = fit_axis([0.0, *(point.x for point in points)], zero=True)
    y = fit_axis([*(point.y for point in points), *([] if plot.target is None else [plot.target])])
    labels = {_find_row(y, tick): f"{format_tick(tick)}{plot.y_unit}" for tick in y.ticks()}
    margin = max(map(len, labels.values()), default=0)
    columns = max(20, width - margin - 2)
    grid: Grid = [[(" ", "")] * columns for _ in range(HEIGHT)]
    if plot.target is not None:
        grid[_find_row(y, plot.target)] = [(TARGET, "dim")] * columns
    colours = choose_colours(line.case for line in plot.lines)
    for letter, line in reversed(list(zip(ascii_lowercase, plot.lines, strict=False))):
        _draw_line(grid, line, letter, colours[line.case], x, y)
    text = Text()
    text.append(f"{plot.title}: {plot.y_title} over {plot.x_title}\n", "bold")
    for number, row in enumerate(grid):
        text.append(f"{labels.get(number, ''):>{margin}} ", "dim")
        text.append("┤" if number in labels else "│", "dim")
        for character, style in row:
            text.append(character, style or None)
        text.append("\n")
    text.append(_draw_x_axis(x, margin, columns), "dim")
    for letter, line in zip(ascii_lowercase, plot.lines, strict=False):
        text.append(f" {letter} ", f"bold {colours[line.case]}")
        label = line.label or line.case
        text.append(f"{_shorten(label, width - 4)}\n")
    if plot.target is not None:
        text.append(f" {TARGET} {plot.target_label}\n", "dim")
    return text


def _draw_line(grid: Grid, line: Line, letter: str, colour: str, x: Axis, y: Axis) -> None:
    columns = len(grid[0])
    places = [(_find_row(y, point.y), _find_column(x, point.x, columns)) for point in line.points]
    for (row, column), (next_row, next_column) in pairwise(places):
        steps = max(abs(next_row - row), abs(next_column - column))
        for step in range(1, steps):
            at_row = row + round((next_row - row) * step / steps)
            at_column = column + round((next_column - column) * step / steps)
            if grid[at_row][at_column][0] in (" ", TARGET):
                grid[at_row][at_column] = (BETWEEN, colour)
    for row, column in places:
        grid[row][column] = (letter, f"bold {colour}")


def _draw_x_axis(x: Axis, margin: int, columns: int) -> str:
    rule, labels = ["─"] * columns, [" "] * (columns + 1)
    for tick in x.ticks():
        at = _find_column(x, tick, columns)
        rule[at] = "┬"
        text = format_tick(tick)
        start = min(max(0, at - len(text) // 2), columns - len(text))
        if all(character == " " for character in labels[max(0, start - 1) : start + len(text) + 1]):
            labels[start : start + len(text)] = text
    indent = " " * (margin + 1)
    return f"{indent}└{''.join(rule)}\n{indent} {''.join(labels).rstrip()}\n"


def _find_row(axis: Axis, value: float) -> int:
    return round((HEIGHT - 1) * (1 - axis.share(value)))


def _find_column(axis: Axis, value: float, columns: int) -> int:
    return round((columns - 1) * axis.share(value))


def _shorten(text: str, width: int) -> str:
    return text if cell_len(text) <= width else f"{set_cell_size(text, width - 1)}…"
