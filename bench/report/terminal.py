"""The tables for a terminal, drawn by rich."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table as Grid
from rich.text import Text

from bench.report import Report
from bench.report.tables import Table

FILE = "tables.txt"

#: Columns of text that is written to a file.
WIDTH = 120

#: Characters between two columns as rich draws them, and around the first and last together.
GAP = 3


def export(report: Report, width: int = WIDTH) -> str:
    """The tables as plain text, `width` characters wide."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False)
    show(report, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def say_what_is_missing(console: Console, banner: str | None, skipped: Mapping[str, str]) -> None:
    """That other tasks stand in for those that were meant, in a coloured box, and what is left out, and why."""
    if banner:
        console.print(Panel(Text(banner), style="yellow"))
    for case, reason in skipped.items():
        console.print(f"Skipped: {case}: {reason}", style="yellow", markup=False)


def show(report: Report, console: Console) -> None:
    """Print the tables on a console, in its width and its colours."""
    for table in report.tables:
        console.print(drawn(table))


def drawn(table: Table) -> RenderableType:
    """A table as rich draws it; columns that do not fit follow below, with the first one repeated."""
    return _Drawn(table)


@dataclass(frozen=True)
class _Drawn:
    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.table.banner:
            yield Panel(Text(self.table.banner), style="yellow", expand=False)
        yield Text(self.table.title, style="bold")
        for chosen in _pieces(self.table, options.max_width):
            yield _grid(self.table, chosen, options.max_width)
        for note in self.table.notes:
            yield Text(f"• {note}", style="yellow" if note.startswith("warning ") else "dim")
        yield Text()


def _pieces(table: Table, width: int) -> Iterator[list[int]]:
    """Numbers of the columns to draw side by side, so that no word has to be broken."""
    chosen, used = [0], _least(table, 0)
    for number in range(1, len(table.columns)):
        needed = _least(table, number) + GAP
        if len(chosen) > 1 and used + needed > width - GAP:
            yield chosen
            chosen, used = [0], _least(table, 0)
        chosen.append(number)
        used += needed
    yield chosen


def _least(table: Table, number: int) -> int:
    """The width of a column's longest word, or of its longest line if its line breaks are meant."""
    texts = [table.columns[number].name, *(row[number].text for row in table.rows)]
    unbroken = number == 0 or any("\n" in text for text in texts[1:])
    words = [part for text in texts for part in (text.splitlines() if unbroken else text.split())]
    return max((cell_len(word) for word in words), default=0)


def _widths(table: Table, chosen: list[int], width: int) -> list[int]:
    """The chosen columns' widths. Rich would break words in one while another has room to spare."""
    texts = [[table.columns[n].name, *(row[n].text for row in table.rows)] for n in chosen]
    wanted = [max(cell_len(line) for text in column for line in text.splitlines() or [""]) for column in texts]
    widths = [_least(table, number) for number in chosen]
    for _ in range(width - GAP * len(chosen) - sum(widths)):
        short = max(range(len(chosen)), key=lambda i: wanted[i] - widths[i])
        widths[short] += wanted[short] > widths[short]
    return widths


def _grid(table: Table, chosen: list[int], width: int) -> Grid:
    lines = any("\n" in row[number].text for row in table.rows for number in chosen)
    grid = Grid(box=SIMPLE_HEAD, pad_edge=False, show_lines=lines)
    for number, wide in zip(chosen, _widths(table, chosen, width), strict=True):
        column = table.columns[number]
        grid.add_column(
            Text(column.name),
            justify="right" if column.figures else "left",
            width=wide,
            no_wrap=number == 0,
            overflow="fold",
        )
    for row in table.rows:
        grid.add_row(*(Text(row[n].text, style="bold green" if row[n].bold else "") for n in chosen))
    return grid
