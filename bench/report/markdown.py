"""`tables.md`: the tables as GitHub-flavoured Markdown, aligned so that they are readable as plain text, too."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.report.exporters import Report
from bench.report.tables.table import Cell, Column, Table, list_new_banners

FILE = "tables.md"


def export(report: Report) -> str:
    """Format the report's tables, each with a heading, and its notes and its command below it; a banner stands once."""
    banners = list_new_banners(report.tables)
    return "\n".join(_format_table(table, banner) for table, banner in zip(report.tables, banners, strict=True))


def _format_table(table: Table, banner: str | None) -> str:
    parts = [f"## {_escape(table.title)}", _format_grid(table.columns, table.rows)]
    if banner:
        parts.insert(0, "> [!WARNING]\n> " + _escape(banner).replace("\n", "\n> "))
    if notes := [_format_note(note) for note in table.notes]:
        parts.append("\n".join(notes))
    if table.command:
        parts.append(f"Reproduce: {_format_code(table.command)}")
    return "\n\n".join(parts) + "\n"


def _format_note(note: str) -> str:
    """Format a note: its first line as text, and further lines, the output of a program, as a code block."""
    first, _, output = note.partition("\n")
    if not output:
        return f"- {_escape(first)}"
    # A fence that is longer than any in the output cannot be closed by it.
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", output)), default=0))
    block = "\n".join(f"  {line}" for line in (fence, *output.split("\n"), fence))
    return f"- {_escape(first)}\n\n{block}"


def _format_code(text: str) -> str:
    """Format a text as code, between more backticks than it has in a row."""
    marks = "`" * (1 + max((len(run) for run in re.findall(r"`+", text)), default=0))
    return f"{marks} {text} {marks}" if "`" in text else f"`{text}`"


def _format_grid(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> str:
    heads = [_escape(column.name) for column in columns]
    texts = [[_format_cell(cell) for cell in row] for row in rows]
    widths = [max(3, *(len(line[i]) for line in (heads, *texts))) for i in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if column.figures else cell.ljust(width)
            for cell, width, column in zip(cells, widths, columns, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (w - 1) + ":" if c.figures else "-" * w for w, c in zip(widths, columns, strict=True)]
    return "\n".join([line(heads), line(rule), *(line(row) for row in texts)])


def _format_cell(cell: Cell) -> str:
    text = _escape(cell.text).replace("\n", "<br>")
    return f"**{text}**" if cell.bold else text


def _escape(text: str) -> str:
    return re.sub(r"([\\|*`]|\](?=[(\[]))", r"\\\1", text).replace("<", "&lt;")
