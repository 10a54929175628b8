"""What a comparison of tests leaves in its folder, and what is printed of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from bench.errors import UserError
from bench.head_to_head import stored_targets
from bench.head_to_head.stored_targets import StoredTargets
from bench.head_to_head.target_standings import choose_outcome, describe_sameness, find_standings, list_sentences
from bench.head_to_head.target_tables import build_page, build_tables, format_csv
from bench.records import store
from bench.report import exporters, markdown
from bench.report.exporters import Report
from bench.report.html.page import Page
from bench.report.html.result_page import format_command, write_or_explain
from bench.report.live.json_events import describe_interval
from bench.report.terminal import MAX_WIDTH, print_tables

CSV_FILE = "results.csv"


def write_files(folder: Path, result: StoredTargets) -> list[str]:
    """Write all files of a result; returns a line for each that cannot be written: the verdict stands.

    They are the result itself, a row for each test and launch as CSV, the tables as Markdown, machine and software as
    JSON, and the report.
    """
    problems = []
    sentences = " ".join(list_sentences(result, find_standings(result)))
    tables = [replace(one, command=format_command(result.about)) for one in build_tables(result, full=True)]
    texts = {
        CSV_FILE: format_csv(result),
        markdown.FILE: f"{sentences}\n\n{markdown.export(Report((), tables))}",
    }
    for name, text in texts.items():
        try:
            store.write_text(folder / name, text, finished_in=folder)
        except UserError as error:
            problems.append(f"warning: {error}")
    try:
        stored_targets.write(folder, result)
        exporters.write_environment(folder, result.about, ())
    except UserError as error:
        problems.append(f"warning: {error}")
    return [*problems, *filter(None, [write_or_explain(folder, build_page(result))])]


def print_result(console: Console, result: StoredTargets, *, quiet: bool = False, full: bool = False) -> None:
    """Print the verdict and the tables.

    Args:
        console: that it is printed on.
        result: what was measured.
        quiet: whether only the verdict is printed.
        full: whether the table of every launch is printed, too.
    """
    answer, *others = list_sentences(result, find_standings(result))
    if quiet:
        console.print(" ".join((answer, *others)), markup=False, highlight=False, soft_wrap=True)
        return
    text = Text.assemble((answer, "bold"), " ", " ".join(others))
    text.rstrip()
    console.print(text, width=min(console.width, MAX_WIDTH))
    console.print()
    print_tables(Report((), build_tables(result, full)), console)


def describe_result(result: StoredTargets) -> dict[str, Any]:
    """Describe what is known so far as fields of an event."""
    standings = find_standings(result)
    measured = zip(result.names, standings.seconds, standings.ratios, standings.certain, strict=False)
    return {
        "outcome": choose_outcome(standings),
        "text": " ".join(list_sentences(result, standings)),
        "sameness": describe_sameness(result),
        "targets": [
            {
                "target": name,
                "seconds_per_call": describe_interval(seconds),
                "ratio": describe_interval(ratio) if number else None,
                "certain": certain if number else None,
            }
            for number, (name, seconds, ratio, certain) in enumerate(measured)
        ],
    }


def read_page(folder: Path) -> tuple[Page, list[str]]:
    """Read a result and build its page; there are no lines about records.

    Raises:
        UserError: its file cannot be used.
    """
    return build_page(stored_targets.read(folder)), []


def show_targets(console: Console, folder: Path) -> int:
    """Print a result again. The exit status is 0.

    Raises:
        UserError: its file cannot be used.
    """
    print_result(console, stored_targets.read(folder))
    return 0
