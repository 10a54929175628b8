"""`bench show`: print the tables of a run or a sweep again, and rewrite its files from its records."""

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
        Parameter(completer=completers.list_runs, help="Name or folder of a run or sweep; the newest by default."),
    ] = None,
    /,
    *,
    relative_to: Annotated[str | None, Reference] = None,
    output: OutputOptions = OutputOptions(),
) -> int:
    """Print the tables of a run or sweep again."""
    return show_run(run, relative_to, output.results)


def show_run(name: str | None, relative_to: str | None, results: Path) -> int:
    """Print the tables of a run or a sweep. The exit status is 0; 1 if a record could not be read.

    The run's files are rewritten if every record could be read and `relative_to` is the run's own.

    Raises:
        UserError: the run is unknown, or none of its records can be read.
    """
    from bench.analysis import warnings
    from bench.records import store
    from bench.report import exporters
    from bench.report.tables import build_tables
    from bench.report.terminal import print_tables
    from bench.sweep import sweep_record

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
    description: dict[str, Any] = dict(records[0].about.get("run") or {})  # type: ignore[call-overload]
    default_reference = description.get("relative_to", "pytorch")
    tables = build_tables(
        records, relative_to or default_reference, description.get("skipped", {}), description.get("banner")
    )
    report = exporters.Report(records, tables)
    if not problems and relative_to in (None, default_reference):
        _rewrite_files(console, run, report)
    print_tables(report, console)
    return 1 if problems else 0


def _rewrite_files(console: Console, run: Path, report: exporters.Report) -> None:
    """Rewrite the files; the tables are shown even if the folder cannot be written."""
    from bench.report import exporters

    try:
        exporters.write_report(run, report)
    except UserError as error:
        console.print(f"The files were not rewritten: {error}", style="yellow", markup=False)
