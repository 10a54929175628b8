"""How a table is laid out in a given width: as it is, transposed, or in parts; no word is broken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

from bench.report.column_widths import distribute_width
from bench.report.tables.table import Cell, Column, Table

#: Characters between two columns, and the total left of the first and right of the last column.
GAP, EDGES = 3, 2


@dataclass(frozen=True)
class Layout:
    """A table, or a part of one, with the width of each of its columns in characters."""

    table: Table
    widths: tuple[int, ...]


def lay_out(table: Table, width: int) -> list[Layout]:
    """Lay a table out in `width` characters.

    If figures would be wrapped, the table is transposed where that wraps fewer of them: many columns of few rows become
    few columns. A table that fits neither way is split into parts, each with the first column.
    """
    fitting = [Layout(one, widths) for one in (table, _transpose(table)) if (widths := _distribute_width(one, width))]
    if fitting:
        return [min(fitting, key=_count_wrapped_figures)]
    return [
        Layout(part, _distribute_width(part, width) or _find_min_widths(part)) for part in _split_columns(table, width)
    ]


def _transpose(table: Table) -> Table:
    """Make a row of each column; columns of figures stay so only if all are."""
    columns = [Column(row[0].text) for row in table.rows]
    rows = [
        (Cell(column.name), *(row[number] for row in table.rows))
        for number, column in enumerate(table.columns)
        if number > 0
    ]
    return replace(table, columns=(Column(table.columns[0].name, figures=False), *columns), rows=tuple(rows))


def _count_wrapped_figures(layout: Layout) -> int:
    """Count the cells with figures that are broken into several lines."""
    return sum(
        cell_len(line) > width
        for row in layout.table.rows
        for column, cell, width in zip(layout.table.columns, row, layout.widths, strict=True)
        if column.figures
        for line in cell.text.splitlines()
    )


def _find_min_widths(table: Table) -> tuple[int, ...]:
    return tuple(_find_min_width(table, number) for number in range(len(table.columns)))


def _find_min_width(table: Table, number: int) -> int:
    """Return the width of a column's longest word, or of its longest line if lines must not be wrapped."""
    texts = [table.columns[number].name, *(row[number].text for row in table.rows)]
    unbroken = any("\n" in text for text in texts[1:])
    words = [part for text in texts for part in (text.splitlines() if unbroken else text.split())]
    return max((cell_len(word) for word in words), default=0)


def _distribute_width(table: Table, width: int) -> tuple[int, ...] | None:
    """Distribute the width among the columns so that no word is broken; None if it is too small for that.

    Figures get it before texts and headings.
    """
    least, free = _find_min_widths(table), width - EDGES - GAP * (len(table.columns) - 1)
    if sum(least) > free:
        return None
    figures = [[row[n].text for row in table.rows] if c.figures else [] for n, c in enumerate(table.columns)]
    every = [[column.name, *(row[n].text for row in table.rows)] for n, column in enumerate(table.columns)]
    return tuple(distribute_width(every, distribute_width(figures, least, free), free))


def _split_columns(table: Table, width: int) -> Iterator[Table]:
    """Split a table into parts that fit the width, each with the first column."""
    widths = _find_min_widths(table)
    group, used = [0], widths[0]
    for number in range(1, len(table.columns)):
        needed = widths[number] + GAP
        if len(group) > 1 and used + needed > width - EDGES:
            yield _choose_columns(table, group)
            group, used = [0], widths[0]
        group.append(number)
        used += needed
    yield _choose_columns(table, group)


def _choose_columns(table: Table, numbers: Sequence[int]) -> Table:
    return replace(
        table,
        columns=tuple(table.columns[number] for number in numbers),
        rows=tuple(tuple(row[number] for number in numbers) for row in table.rows),
    )
