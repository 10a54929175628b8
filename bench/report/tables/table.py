"""A table as data, before anybody decides how it looks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """What stands in a cell; a line break in it is meant. Bold is the best of its column."""

    text: str
    bold: bool = False


@dataclass(frozen=True)
class Column:
    """A column's heading, and whether figures stand in it (which are set to the right)."""

    name: str
    figures: bool = True


@dataclass(frozen=True)
class Table:
    """A titled table with notes under it and, where the whole run needs a caution, a banner above it."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    banner: str | None = None
