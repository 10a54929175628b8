"""`tables.md`: the tables as GitHub-flavoured Markdown that is readable as plain text, too."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bench.report import Report
from bench.report.tables import Cell, Column, Table

FILE = "tables.md"


def export(report: Report) -> str:
    """All tables, each under a heading, with its banner above it and its notes below."""
    return "\n".join(_table(table) for table in report.tables)


def _table(table: Table) -> str:
    parts = [f"## {_escaped(table.title)}", _grid(table.columns, table.rows)]
    if table.banner:
        parts.insert(0, "> [!WARNING]\n> " + _escaped(table.banner).replace("\n", "\n> "))
    if table.notes:
        parts.append("\n".join(_note(note) for note in table.notes))
    return "\n\n".join(parts) + "\n"


def _note(note: str) -> str:
    """A note's first line as text, and further lines, which some program printed, as they are."""
    first, _, printed = note.partition("\n")
    if not printed:
        return f"- {_escaped(first)}"
    # A fence longer than any in the text cannot be closed by it.
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall(r"`+", printed)), default=0))
    block = "\n".join(f"  {line}" for line in (fence, *printed.split("\n"), fence))
    return f"- {_escaped(first)}\n\n{block}"


def _grid(columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> str:
    heads = [_escaped(column.name) for column in columns]
    texts = [[_cell(cell) for cell in row] for row in rows]
    widths = [max(3, *(len(line[i]) for line in (heads, *texts))) for i in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        padded = (
            cell.rjust(width) if column.figures else cell.ljust(width)
            for cell, width, column in zip(cells, widths, columns, strict=True)
        )
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (w - 1) + ":" if c.figures else "-" * w for w, c in zip(widths, columns, strict=True)]
    return "\n".join([line(heads), line(rule), *(line(row) for row in texts)])


def _cell(cell: Cell) -> str:
    text = _escaped(cell.text).replace("\n", "<br>")
    return f"**{text}**" if cell.bold else text


def _escaped(text: str) -> str:
    return re.sub(r"([\\|*`])", r"\\\1", text).replace("<", "&lt;")
