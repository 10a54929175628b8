"""`bench show`: the tables of a run or a sweep again, and all its files, made from its records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from bench import report
from bench.analysis import warnings
from bench.cli.sweep import show_sweep
from bench.errors import UserError
from bench.records import store
from bench.report.tables import tables
from bench.report.terminal import show as draw
from bench.sweep import sweep_record as sweep_record


def show(name: str | None, relative_to: str | None, results: Path) -> int:
    """Print the tables; the exit status is 0, or 1 where a record could not be read.

    The run's files are written anew where every record could be read and no other reference was asked for.

    Raises:
        UserError: no such run, or none of its records can be read.
    """
    run = store.find(results, name, store.RECORDS, sweep_record.FOLDER)
    console = Console()
    if (run / sweep_record.FOLDER).is_dir():
        if relative_to:
            raise UserError("--relative-to: a sweep has no ratios: leave it out")
        return show_sweep(console, run)
    records, problems = store.read(run)
    for problem in problems:
        console.print(problem, style="yellow", markup=False)
    if not records:
        raise UserError(f"run {run} has no readable record: run the benchmark again")
    records = warnings.of_run(records)
    told: dict[str, Any] = dict(records[0].about.get("run") or {})  # type: ignore[call-overload]
    usual = told.get("relative_to", "pytorch")
    made = tables(records, relative_to or usual, told.get("skipped", {}), told.get("banner"))
    whole = report.Report(records, made)
    if not problems and relative_to in (None, usual):
        _rebuild(console, run, whole)
    draw(whole, console)
    return 1 if problems else 0


def _rebuild(console: Console, run: Path, whole: report.Report) -> None:
    """Write the files; a folder that cannot be written is no reason not to show its run."""
    try:
        report.write(run, whole)
    except UserError as error:
        console.print(f"Not written anew: {error}", style="yellow", markup=False)
