"""What `bench roofline` and `bench show` print of a roofline."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from rich.console import Console

from bench.report.exporters import Report
from bench.report.html.page import Page
from bench.report.html.result_page import write_or_explain
from bench.report.terminal import print_tables
from bench.roofline import roofline_file
from bench.roofline.device_peaks import Peak
from bench.roofline.roofline_advice import advise
from bench.roofline.roofline_file import StoredTask, TaskMeasurement
from bench.roofline.roofline_page import build_roofline_page
from bench.roofline.roofline_tables import build_tables


def describe(measured: TaskMeasurement) -> StoredTask:
    """Describe a task that was measured just now, as it is stored."""
    advice = [sentence for one in measured.rooflines if (sentence := advise(one))]
    return StoredTask(measured.rooflines, measured.deaths, measured.notes, advice)


def print_task(console: Console, task: StoredTask, peak: Peak | str, device: str) -> None:
    """Print the tables of a task, the cases whose workers died, and what to do."""
    if task.rooflines:
        tables = build_tables(task.rooflines, peak, device != "cpu")
        tables[-1] = replace(tables[-1], notes=(*tables[-1].notes, *task.notes))
        print_tables(Report((), tables), console)
    for backend, variant, reason in task.deaths:
        console.print(f"{backend}/{variant} died: {reason}", style="red", markup=False)
    for sentence in task.advice:
        console.print(sentence, markup=False, highlight=False)


def show_roofline(console: Console, folder: Path) -> int:
    """Print the tables of a roofline again. The exit status is 0.

    Raises:
        UserError: its file cannot be used.
    """
    stored = roofline_file.read(folder)
    for task in stored.tasks:
        print_task(console, task, stored.peak, stored.device)
    return 0


def read_page(folder: Path) -> tuple[Page, list[str]]:
    """Read a roofline and build its page; there are no lines about records.

    Raises:
        UserError: its file cannot be used.
    """
    return build_roofline_page(roofline_file.read(folder)), []


def write_page(console: Console, folder: Path) -> None:
    """Write the page of a roofline; a line says so if it cannot be written."""
    if problem := write_or_explain(folder, read_page(folder)[0]):
        console.print(problem, style="yellow", markup=False, soft_wrap=True)
