"""The end of a run on a terminal: the verdict, a table for each task, the most important warnings, what to do next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from bench.analysis.launches import group_by_task
from bench.records.record import Record
from bench.report.exporters import Report
from bench.report.next_steps import list_next_steps
from bench.report.run_heading import build_heading, find_banner
from bench.report.run_warnings import list_run_warnings
from bench.report.tables import absent_table
from bench.report.tables.summary_table import build_summary_table
from bench.report.tables.table import Table
from bench.report.terminal import MAX_WIDTH, print_banner, print_tables, render_table
from bench.report.verdict import Verdict, build_verdict

#: Warnings that are shown with what to do; of the others, their names.
MOST_WARNINGS = 2


def print_conclusion(console: Console, run: Path, report: Report, full: bool) -> None:
    """Print the verdict of a run, what it rests on, and what to do next.

    It rests on a table for each task, what was not measured and the most important warnings, or with `full` on all
    tables, which have all warnings. The banner is not among them: it was printed before.

    Args:
        console: that it is printed on.
        run: the run's folder.
        report: its records and all its tables.
        full: whether to print all tables.
    """
    print_verdict(console, build_verdict(report.records, report.relative_to, find_banner(report.records)))
    console.print()
    if full:
        print_tables(replace(report, tables=[replace(table, banner=None) for table in report.tables]), console)
    else:
        tasks = group_by_task(report.records)
        _print_summaries(console, [build_summary_table(task, report.relative_to) for task in tasks])
        for table in report.tables:
            if table.title == absent_table.TITLE:
                console.print(render_table(replace(table, command=None)))
        _print_warnings(console, report.records)
    print_next_steps(console, list_next_steps(run, report.records, full))


def print_heading(console: Console, records: Sequence[Record]) -> None:
    """Print which run is shown, and its banner in a box."""
    first, *others = build_heading(records).lines
    for line, style in ((first, "bold"), *((line, "dim") for line in others)):
        console.print(Text(line, style=style), soft_wrap=False)
    if banner := find_banner(records):
        print_banner(console, banner)
    console.print()


def print_verdict(console: Console, verdict: Verdict) -> None:
    """Print the verdict: a paragraph for each task, its answer in bold."""
    for judged in verdict.tasks:
        name = "" if len(verdict.tasks) == 1 else f"{judged.task}: "
        answer, *others = judged.sentences
        text = Text.assemble((name, "bold cyan"), (answer, "bold"), " ", " ".join(others))
        text.rstrip()
        console.print(text, width=min(console.width, MAX_WIDTH))
    if verdict.caution:
        console.print(Text(verdict.caution, style="yellow"), width=min(console.width, MAX_WIDTH))


def _print_summaries(console: Console, tables: Sequence[Table]) -> None:
    """Print the tables, and below the last one the notes of all."""
    notes = tuple(dict.fromkeys(note for table in tables for note in table.notes))
    for table in tables:
        console.print(render_table(replace(table, notes=notes if table is tables[-1] else ())))


def _print_warnings(console: Console, records: Sequence[Record]) -> None:
    warnings = list_run_warnings(records)
    for warning in warnings[:MOST_WARNINGS]:
        console.print(Text(f"• warning {warning.text}", style="yellow"), width=min(console.width, MAX_WIDTH))
    if others := [warning.name for warning in warnings[MOST_WARNINGS:]]:
        console.print(Text(f"• {len(others)} more: {', '.join(others)}", style="yellow"))
    if warnings:
        console.print()


def print_next_steps(console: Console, steps: Mapping[str, str]) -> None:
    """Print commands and files, each on a line that can be copied."""
    width = max(map(len, steps), default=0)
    for heading, text in steps.items():
        line = Text.assemble((f"{heading}:".ljust(width + 2), "dim"), text)
        console.print(line, soft_wrap=True, highlight=False)
