"""What `bench show` and `bench merge` make of merged runs: tables, verdict and report of each machine by itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.text import Text

from bench.analysis.launches import TaskLaunches
from bench.compare.comparison_page import KIND_SWITCH, plot_ratios_by_run
from bench.compare.comparison_sentences import describe_ratios_by_run
from bench.compare.merged_runs import read_merged
from bench.compare.run_comparison import compare_runs
from bench.compare.stored_run import StoredRun
from bench.records import store
from bench.report.conclusion import print_conclusion, print_heading
from bench.report.exporters import Report
from bench.report.figures.ratio_figure import build_ratio_plot
from bench.report.html import page
from bench.report.html.page_writer import render_page
from bench.report.html.proof_blocks import build_ticks
from bench.report.html.run_page import KIND
from bench.report.run_heading import find_banner
from bench.report.run_report import read_report
from bench.report.tables.throughput_table import KINDS
from bench.report.terminal import print_problem
from bench.report.verdict import build_verdict

FILE = "report.html"
APART = "The figures of one machine are in no interval of another: compare the ratios, not the images/s."


def show_merged(console: Console, folder: Path, relative_to: str | None = None, full: bool = False) -> int:
    """Print what each machine has found under its heading, with all tables if `full`.

    The exit status is 0; 1 if a record could not be read.

    Raises:
        UserError: the folder has no run, or none of a run's records can be read.
    """
    runs = read_merged(folder)
    for run in runs:
        console.print(Text(f"{run.letter}: {run.machine}", style="bold reverse"))
        print_heading(console, run.records)
        for problem in run.problems:
            print_problem(console, problem)
        report, _ = read_report(run.folder, relative_to)
        print_conclusion(console, run.folder, report, full)
        console.print()
    for line in (*describe_ratios_by_run(runs, relative_to), APART):
        console.print(line, markup=False, highlight=False)
    return 1 if any(run.problems for run in runs) else 0


def write_page(path: Path, runs: Sequence[StoredRun]) -> None:
    """Write the page of merged runs.

    Raises:
        UserError: the file cannot be written.
    """
    store.write_text(path, render_page(build_merged_page(runs)))


def build_merged_page(runs: Sequence[StoredRun]) -> page.Page:
    """Build the page: the answer of each machine, then a section for each with its plots and tables."""
    names = ", ".join(dict.fromkeys(task.task.name for run in runs for task in run.tasks))
    return page.Page(
        title=f"{names} on {len(runs)} machines",
        facts="; ".join(format_heading(run) for run in runs),
        verdict=(*describe_ratios_by_run(runs), APART),
        opening=tuple(_list_opening(runs)),
        sections=tuple(page.Section(f"{run.letter}: {run.machine}", tuple(_list_blocks(run))) for run in runs),
        switches=(KIND_SWITCH,),
    )


def _list_opening(runs: Sequence[StoredRun]) -> Iterator[page.Block]:
    """The ratios of all machines side by side, for each task and kind of rounds."""
    if len(runs) < 2:
        return
    for task in compare_runs(runs).tasks:
        yield page.Heading(task.task.name)
        for kind in KINDS:
            yield page.When({KIND: kind}, (plot_ratios_by_run(task, kind),))


def format_heading(run: StoredRun) -> str:
    """Format the heading of a run: its letter, machine, name and time."""
    return f"{run.letter}: {run.machine} ({run.name}, {run.measured} UTC)"


def _describe(run: StoredRun, report: Report) -> list[str]:
    return build_verdict(run.records, report.relative_to, find_banner(run.records)).text.splitlines()


def _list_blocks(run: StoredRun) -> Iterator[page.Block]:
    report, _ = read_report(run.folder)
    if banner := find_banner(run.records):
        yield page.Text(banner, "warning")
    yield from (page.Text(line) for line in _describe(run, report))
    for task in run.tasks:
        yield from _list_plots(task, report.relative_to)
    # A screen reader lists tables by their titles.
    yield from (replace(table, title=f"{run.letter}: {table.title}", banner=None) for table in report.tables)


def _list_plots(task: TaskLaunches, relative_to: str) -> Iterator[page.Block]:
    yield page.Heading(task.name)
    yield from (page.When({KIND: kind}, (build_ratio_plot(task, relative_to, kind),)) for kind in KINDS)
    yield build_ticks(task)
