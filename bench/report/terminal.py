"""The tables on a terminal, rendered by rich."""

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

from bench.report.column_widths import distribute_width
from bench.report.exporters import Report
from bench.report.tables.table import Table

FILE = "tables.txt"

#: Width in characters of text that is written to a file.
WIDTH = 120

#: Characters that rich puts between two columns, and also the total left of the first and right of the last column.
GAP = 3


def export(report: Report, width: int = WIDTH) -> str:
    """Format the report's tables as plain text, at most `width` characters wide."""
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=False)
    print_tables(report, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def print_missing(
    console: Console, banner: str | None, skipped: Mapping[str, str], threads_note: str | None = None
) -> None:
    """Print the banner of a run in a coloured box, what is skipped with the reason, and a line about the threads.

    Args:
        console: that it is printed on.
        banner: says that other data or weights replace those that are not available; None where none do.
        skipped: reasons by case or backend.
        threads_note: see `bench.plan.plan.explain_threads`.
    """
    if banner:
        console.print(Panel(Text(banner), style="yellow"))
    for case, reason in skipped.items():
        console.print(f"Skipped: {case}: {reason}", style="yellow", markup=False)
    if threads_note:
        console.print(threads_note, markup=False, highlight=False, soft_wrap=True)


def print_problem(console: Console, line: str) -> None:
    """Print a line about something that is missing and does not stop a run."""
    console.print(line, style="yellow", markup=False, soft_wrap=True)


def print_tables(report: Report, console: Console) -> None:
    """Print the report's tables on a console, in its width and its colours."""
    for table in report.tables:
        console.print(render_table(table))


def render_table(table: Table) -> RenderableType:
    """Make a table that rich can print; columns that do not fit the width follow below, with the first one repeated."""
    return _RenderedTable(table)


@dataclass(frozen=True)
class _RenderedTable:
    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.table.banner:
            yield Panel(Text(self.table.banner), style="yellow", expand=False)
        yield Text(self.table.title, style="bold")
        for numbers in _split_columns(self.table, options.max_width):
            yield _build_grid(self.table, numbers, options.max_width)
        for note in self.table.notes:
            yield Text(f"• {note}", style="yellow" if note.startswith("warning ") else "dim")
        yield Text()


def _split_columns(table: Table, width: int) -> Iterator[list[int]]:
    """Split a table's column numbers into groups that fit the width side by side without a broken word."""
    group, used = [0], _find_min_width(table, 0)
    for number in range(1, len(table.columns)):
        needed = _find_min_width(table, number) + GAP
        if len(group) > 1 and used + needed > width - GAP:
            yield group
            group, used = [0], _find_min_width(table, 0)
        group.append(number)
        used += needed
    yield group


def _find_min_width(table: Table, number: int) -> int:
    """Return the width of a column's longest word, or of its longest line if lines must not be wrapped."""
    texts = [table.columns[number].name, *(row[number].text for row in table.rows)]
    unbroken = number == 0 or any("\n" in text for text in texts[1:])
    words = [part for text in texts for part in (text.splitlines() if unbroken else text.split())]
    return max((cell_len(word) for word in words), default=0)


def _distribute_width(table: Table, numbers: list[int], width: int) -> list[int]:
    """Distribute the width among the given columns. Rich would break words in one while another has spare width."""
    texts = [[table.columns[n].name, *(row[n].text for row in table.rows)] for n in numbers]
    least = [_find_min_width(table, number) for number in numbers]
    return distribute_width(texts, least, width - GAP * len(numbers))


def _build_grid(table: Table, numbers: list[int], width: int) -> Grid:
    lines = any("\n" in row[number].text for row in table.rows for number in numbers)
    grid = Grid(box=SIMPLE_HEAD, pad_edge=False, show_lines=lines)
    for number, column_width in zip(numbers, _distribute_width(table, numbers, width), strict=True):
        column = table.columns[number]
        grid.add_column(
            Text(column.name),
            justify="right" if column.figures else "left",
            width=column_width,
            no_wrap=number == 0,
            overflow="fold",
        )
    for row in table.rows:
        grid.add_row(*(Text(row[n].text, style="bold green" if row[n].bold else "") for n in numbers))
    return grid
