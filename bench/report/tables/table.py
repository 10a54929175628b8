"""A table as data, independent of the format that it is shown in."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """The text of a cell, whose line breaks are kept; the best cell of a column is bold.

    `link` is the relative address of a page about the cell's subject, which pages use; empty without one.
    """

    text: str
    bold: bool = False
    link: str = ""


@dataclass(frozen=True)
class Column:
    """A column's heading, and whether the column has figures, which are right-aligned."""

    name: str
    figures: bool = True


@dataclass(frozen=True)
class Table:
    """A table with a title and notes below it.

    Attributes:
        banner: a caution about the whole run, which is shown above its first table.
        command: the command line that makes the table again; None where it is not known.
    """

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    banner: str | None = None
    command: str | None = None


def list_new_banners(tables: Iterable[Table]) -> list[str | None]:
    """List each table's banner; None where it has none, or the one of the table before it."""
    banners = [table.banner for table in tables]
    return [None if banner == before else banner for before, banner in zip([None, *banners], banners, strict=False)]
