"""A table as data, independent of the format that it is shown in."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """The text of a cell, whose line breaks are kept; the best cell of a column is bold."""

    text: str
    bold: bool = False


@dataclass(frozen=True)
class Column:
    """A column's heading, and whether the column has figures, which are right-aligned."""

    name: str
    figures: bool = True


@dataclass(frozen=True)
class Table:
    """A table with a title, notes below it and, if the whole run needs one, a caution above it: the banner."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    banner: str | None = None
