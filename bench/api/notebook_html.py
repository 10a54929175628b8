"""A run as HTML in a notebook: its verdict and its tables, without script or style sheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from bench.report.tables.table import Cell, Table


def format_results(name: str, verdict: str, tables: Sequence[Table], problems: Iterable[str]) -> str:
    """Format a run: the verdict, what could not be read, the first table, and the others behind a line each.

    All text is escaped.
    """
    parts = [f"<p><strong>{_format_text(verdict)}</strong></p>"]
    parts += [f"<p>{_format_text(line)}</p>" for line in problems]
    for number, table in enumerate(tables):
        opened = " open" if number == 0 else ""
        parts.append(f"<details{opened}><summary>{escape(table.title)}</summary>{_format_table(table)}</details>")
    return f"<div><p>Run {escape(name)}</p>{''.join(parts)}</div>"


def _format_table(table: Table) -> str:
    aligned = ["right" if column.figures else "left" for column in table.columns]
    heads = "".join(
        f'<th style="text-align:{side}">{escape(column.name)}</th>'
        for side, column in zip(aligned, table.columns, strict=True)
    )
    rows = "".join(
        "<tr>" + "".join(_format_cell(cell, side) for side, cell in zip(aligned, row, strict=True)) + "</tr>"
        for row in table.rows
    )
    notes = "".join(f"<p>{_format_text(note)}</p>" for note in table.notes)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{notes}"


def _format_cell(cell: Cell, side: str) -> str:
    text = _format_text(cell.text)
    return f'<td style="text-align:{side}">{f"<b>{text}</b>" if cell.bold else text}</td>'


def _format_text(text: str) -> str:
    return escape(text).replace("\n", "<br>")
