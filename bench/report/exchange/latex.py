r"""The tables as LaTeX, for `\input` in a paper: booktabs' rules, a caption above and the notes below each table."""

from __future__ import annotations

import re

from bench.records.plain_text import strip_escapes
from bench.report.exporters import Report
from bench.report.tables.table import Cell, Table, list_new_banners

FILE = "tables.tex"

HEADER = "% Needs \\usepackage{booktabs}; include it with \\input{tables}."

#: What LaTeX would read as a command, or what its default font lacks.
REPLACEMENTS = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\char34{}",
    "`": r"\textasciigrave{}",
    "–": "--",
    "—": "---",
    "×": r"$\times$",
    "±": r"$\pm$",
    "−": r"$-$",
    "…": r"\ldots{}",
    "µ": r"$\mu$",
    "²": r"$^2$",
}
#: These, and a hyphen before another one: two or three in a row would become a dash.
SPECIAL = re.compile(f"[{re.escape(''.join(REPLACEMENTS))}]|-(?=-)")


def export(report: Report) -> str:
    """Format the report's tables, each as a float of its own."""
    banners = list_new_banners(report.tables)
    tables = [_format_table(table, banner) for table, banner in zip(report.tables, banners, strict=True)]
    return "\n\n".join([HEADER, *tables]) + "\n"


def _format_table(table: Table, banner: str | None) -> str:
    alignment = "".join("r" if column.figures else "l" for column in table.columns)
    rows = [[escape(column.name) for column in table.columns]]
    rows += [[_format_cell(cell) for cell in row] for row in table.rows]
    head, *body = (f"    {_format_row(row)}" for row in rows)
    lines = [
        r"\begin{table}",
        r"  \centering",
        f"  \\caption{{{escape(table.title)}}}",
        rf"  \begin{{tabular}}{{{alignment}}}",
        r"    \toprule",
        head,
        r"    \midrule",
        *body,
        r"    \bottomrule",
        r"  \end{tabular}",
        *(f"  \\par\\footnotesize {_format_note(note)}" for note in (*filter(None, [banner]), *table.notes)),
        *([f"  \\par\\footnotesize Reproduce: \\texttt{{{escape(table.command)}}}"] if table.command else []),
        r"\end{table}",
    ]
    return "\n".join(lines)


def _format_row(cells: list[str]) -> str:
    text = " & ".join(cells)
    # Behind a rule or the end of a row, these would be an argument of it.
    return f"{'{}' if text.startswith(('[', '*')) else ''}{text} \\\\"


def _format_cell(cell: Cell) -> str:
    # A line break would end the row of a tabular.
    text = "; ".join(escape(line) for line in cell.text.splitlines())
    return rf"\textbf{{{text}}}" if cell.bold else text


def _format_note(note: str) -> str:
    return "\\newline ".join(escape(line) for line in note.splitlines())


def escape(text: str) -> str:
    """Escape text so that LaTeX prints it as it is; control characters are left out."""
    plain = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", strip_escapes(text))
    return SPECIAL.sub(lambda found: REPLACEMENTS.get(found[0], "-{}"), plain)
