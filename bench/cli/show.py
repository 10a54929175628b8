"""`bench show`: print the result of a run or of another command again, and rewrite its files from its records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from bench.cli import completers
from bench.cli.option_groups import OPTIONS, Reference, ReportOptions
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.records import result_kinds
    from bench.report import exporters


def show(
    run: Annotated[
        str | None,
        Parameter(
            completer=completers.list_runs,
            help="Name or folder of a run, or of what another command stored; the newest by default.",
        ),
    ] = None,
    /,
    *,
    relative_to: Annotated[str | None, Reference] = None,
    html: Annotated[
        list[Path] | None,
        Parameter(
            group=OPTIONS,
            consume_multiple=(0, 1),
            negative="",
            help="Write the report of a run as a page instead of printing it; `report.html` in its folder by default.",
        ),
    ] = None,
    output: ReportOptions = ReportOptions(),
) -> int:
    """Print a result again: of a run, sweep, gate, tune, explain or roofline; or write its report."""
    if html is not None:
        return write_run_page(run, relative_to, html[0] if html else None, output.results)
    return show_run(run, relative_to, output.results, output.full)


def write_run_page(name: str | None, relative_to: str | None, file: Path | None, results: Path) -> int:
    """Write the page of a run. The exit status is 0; 1 if a record could not be read.

    Args:
        name: of the run; the newest by default.
        relative_to: the case that ratios are relative to at first; the run's own by default.
        file: to write; by default the run's own report, which shows the run's own reference.
        results: the folder of all runs.

    Raises:
        UserError: the run is unknown or is none, none of its records can be read, or the file cannot be written.
    """
    from bench.records import result_kinds, store
    from bench.report.html import run_file
    from bench.report.run_report import read_report

    if file is not None and file.suffix not in (".html", ".htm"):
        raise UserError(f"--html {file}: a page ends with .html; a run stands before the option: bench show RUN --html")
    run = store.find_run(results, name, *result_kinds.KINDS)
    kind = result_kinds.find_kind(run)
    if kind == "merge":
        return _write_merged_page(run, relative_to, file)
    if kind != "run":
        raise UserError(f"--html: the result of bench {kind} has no report: leave it out")
    if file is None and relative_to is not None:
        raise UserError("--relative-to: the run's own report has the run's reference: use --html FILE")
    report, problems = read_report(run, relative_to)
    console = Console()
    for problem in problems:
        console.print(problem, style="yellow", markup=False)
    path = file or run / run_file.FILE
    store.write_text(path, run_file.export(report))
    console.print(f"Report: {path}", soft_wrap=True, markup=False, highlight=False)
    return 1 if problems else 0


def _write_merged_page(folder: Path, relative_to: str | None, file: Path | None) -> int:
    """Write the page of merged runs. The exit status is 0; 1 if a record could not be read.

    Raises:
        UserError: a reference, none of a run's records can be read, or the file cannot be written.
    """
    from bench.compare.merged_output import FILE, write_page
    from bench.compare.merged_runs import read_merged

    if relative_to is not None:
        raise UserError("--relative-to: the report of merged runs has the runs' own references: leave it out")
    runs = read_merged(folder)
    path = file or folder / FILE
    write_page(path, runs)
    Console().print(f"Report: {path}", soft_wrap=True, markup=False, highlight=False)
    return 1 if any(run.problems for run in runs) else 0


def show_run(name: str | None, relative_to: str | None, results: Path, full: bool = False) -> int:
    """Print what a run or another command has found; of a run all tables with `full`.

    The exit status is 0; 1 if a record could not be read. The run's files are rewritten if every record could be read
    and `relative_to` is the run's own.

    Raises:
        UserError: the run is unknown, or none of its records can be read.
    """
    from bench.records import result_kinds, store
    from bench.report.conclusion import print_conclusion, print_heading
    from bench.report.run_report import find_own_reference, read_report

    run = store.find_run(results, name, *result_kinds.KINDS)
    console = Console()
    kind = result_kinds.find_kind(run)
    if kind == "merge":
        from bench.compare.merged_output import show_merged

        return show_merged(console, run, relative_to)
    if kind is not None and kind != "run":
        if relative_to:
            raise UserError(f"--relative-to: the result of bench {kind} has no reference to choose: leave it out")
        return _show_result(kind, console, run)
    report, problems = read_report(run, relative_to)
    for problem in problems:
        console.print(problem, style="yellow", markup=False)
    if not problems and relative_to in (None, find_own_reference(report.records)):
        _rewrite_files(console, run, report)
    print_heading(console, report.records)
    print_conclusion(console, run, report, full)
    return 1 if problems else 0


def _show_result(kind: result_kinds.ResultKind, console: Console, folder: Path) -> int:
    """Print the result of another command than `bench run` again; returns the exit status.

    Raises:
        UserError: its records cannot be read.
    """
    match kind:
        case "sweep":
            from bench.sweep.sweep_run import show_sweep as show
        case "gate":
            from bench.gate.gate_output import show_gate as show
        case "tune":
            from bench.tune.tune_output import show_tune as show
        case "explain":
            from bench.tune.explanation_output import show_explanation as show
        case "roofline":
            from bench.roofline.roofline_output import show_roofline as show
    return show(console, folder)


def _rewrite_files(console: Console, run: Path, report: exporters.Report) -> None:
    """Rewrite the files; the tables are shown even if the folder cannot be written."""
    from bench.report import exporters

    try:
        exporters.write_report(run, report)
    except UserError as error:
        console.print(f"The files were not rewritten: {error}", style="yellow", markup=False)
