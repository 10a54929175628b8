"""`bench show`: the tables of a run or a sweep again, and all its files, made from its records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from bench.cli import completers
from bench.cli.option_groups import OutputOptions, Reference
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.report import exporters


def show(
    run: Annotated[
        str | None,
        Parameter(completer=completers.runs, help="Name or folder of a run or a sweep; the newest by default."),
    ] = None,
    /,
    *,
    relative_to: Annotated[str | None, Reference] = None,
    output: OutputOptions = OutputOptions(),
) -> int:
    """Print the tables of a run or a sweep again."""
    return show_run(run, relative_to, output.results)


def show_run(name: str | None, relative_to: str | None, results: Path) -> int:
    """Print the tables; the exit status is 0, or 1 where a record could not be read.

    The run's files are written anew where every record could be read and no other reference was asked for.

    Raises:
        UserError: no such run, or none of its records can be read.
    """
    from bench.analysis import warnings
    from bench.records import store
    from bench.report import exporters
    from bench.report.tables import build_tables
    from bench.report.terminal import print_tables
    from bench.sweep import sweep_record as sweep_record

    run = store.find_run(results, name, store.RECORDS, sweep_record.FOLDER)
    console = Console()
    if (run / sweep_record.FOLDER).is_dir():
        if relative_to:
            raise UserError("--relative-to: a sweep has no ratios: leave it out")
        from bench.sweep.sweep_run import show_sweep

        return show_sweep(console, run)
    records, problems = store.read_records(run)
    for problem in problems:
        console.print(problem, style="yellow", markup=False)
    if not records:
        raise UserError(f"run {run} has no readable record: run the benchmark again")
    records = warnings.add_run_warnings(records)
    told: dict[str, Any] = dict(records[0].about.get("run") or {})  # type: ignore[call-overload]
    usual = told.get("relative_to", "pytorch")
    made = build_tables(records, relative_to or usual, told.get("skipped", {}), told.get("banner"))
    whole = exporters.Report(records, made)
    if not problems and relative_to in (None, usual):
        _rebuild(console, run, whole)
    print_tables(whole, console)
    return 1 if problems else 0


def _rebuild(console: Console, run: Path, whole: exporters.Report) -> None:
    """Write the files; a folder that cannot be written is no reason not to show its run."""
    from bench.report import exporters

    try:
        exporters.write_report(run, whole)
    except UserError as error:
        console.print(f"Not written anew: {error}", style="yellow", markup=False)
