"""The tables on a terminal, rendered by rich."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.panel import Panel
from rich.table import Table as Grid
from rich.text import Text

from bench.report.exporters import Report
from bench.report.table_layout import Layout, lay_out
from bench.report.tables.table import Table, list_new_banners

FILE = "tables.txt"

#: Width in characters of text that is written to a file.
WIDTH = 120

#: Characters of a table on a wide terminal: a longer row is hard to follow.
MAX_WIDTH = 100


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
        print_banner(console, banner)
    for case, reason in skipped.items():
        console.print(f"Skipped: {case}: {reason}", style="yellow", markup=False)
    if threads_note:
        console.print(threads_note, markup=False, highlight=False, soft_wrap=True)


def print_problem(console: Console, line: str) -> None:
    """Print a line about something that is missing and does not stop a run."""
    console.print(line, style="yellow", markup=False, soft_wrap=True)


def print_tables(report: Report, console: Console) -> None:
    """Print the report's tables on a console, in its width and its colours; a banner stands once."""
    for table, banner in zip(report.tables, list_new_banners(report.tables), strict=True):
        if banner:
            print_banner(console, banner)
        console.print(render_table(table))


def print_banner(console: Console, banner: str) -> None:
    """Print the banner of a run in a coloured box."""
    console.print(Panel(Text(banner), style="yellow"))


def render_table(table: Table) -> RenderableType:
    """Make a table that rich can print, see `bench.report.table_layout`."""
    return _RenderedTable(table)


@dataclass(frozen=True)
class _RenderedTable:
    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text(self.table.title, style="bold")
        for layout in lay_out(self.table, min(options.max_width, MAX_WIDTH)):
            yield _build_grid(layout)
        for note in self.table.notes:
            yield Text(f"• {note}", style="yellow" if note.startswith("warning ") else "dim")
        if self.table.command:
            yield Text(f"Reproduce: {self.table.command}", style="dim")
        yield Text()


def _build_grid(layout: Layout) -> Grid:
    lines = any("\n" in cell.text for row in layout.table.rows for cell in row)
    grid = Grid(box=SIMPLE_HEAD, pad_edge=False, show_lines=lines)
    for column, width in zip(layout.table.columns, layout.widths, strict=True):
        grid.add_column(Text(column.name), justify="right" if column.figures else "left", width=width, overflow="fold")
    for row in layout.table.rows:
        grid.add_row(*(Text(cell.text, style="bold green" if cell.bold else "") for cell in row))
    return grid
