"""What `bench roofline` and `bench show` print of a roofline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from bench.report.exporters import Report
from bench.report.html.page import Page
from bench.report.html.result_page import write_or_explain
from bench.report.tables.table import Table
from bench.report.terminal import print_tables
from bench.roofline import roofline_file, roofline_tables
from bench.roofline.achieved_rates import Roofline
from bench.roofline.device_peaks import Peak
from bench.roofline.roofline_advice import advise
from bench.roofline.roofline_file import StoredTask, TaskMeasurement


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


def build_tables(cases: Sequence[Roofline], peak: Peak | str, gpu: bool) -> list[Table]:
    """Build all tables of a task; cases whose steps do the same work share a table of it.

    Args:
        cases: at least one.
        peak: of the device, or why it is not known.
        gpu: whether the device is one.
    """
    steps = {tuple(case.step.parts.items()): case.step for case in reversed(cases)}
    layers = roofline_tables.build_layer_table(cases)
    return [
        *(roofline_tables.build_work_table(step) for step in reversed(steps.values())),
        roofline_tables.build_rate_table(cases, peak),
        *([layers] if layers else []),
        roofline_tables.build_roofline_table(cases, peak, gpu),
        roofline_tables.build_evidence_table(cases),
    ]


def show_roofline(console: Console, folder: Path) -> int:
    """Print the tables of a roofline again. The exit status is 0.

    Raises:
        UserError: its file cannot be used.
    """
    stored = roofline_file.read(folder)
    for task in stored.tasks:
        print_task(console, task, stored.peak, stored.device)
    write_page(console, folder)
    return 0


def read_page(folder: Path) -> tuple[Page, list[str]]:
    """Read a roofline and build its page; there are no lines about records.

    Raises:
        UserError: its file cannot be used.
    """
    from bench.roofline.roofline_page import build_roofline_page  # it imports this module

    return build_roofline_page(roofline_file.read(folder)), []


def write_page(console: Console, folder: Path) -> None:
    """Write the page of a roofline; a line says so if it cannot be written."""
    if problem := write_or_explain(folder, read_page(folder)[0]):
        console.print(problem, style="yellow", markup=False, soft_wrap=True)
