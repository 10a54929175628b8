"""`bench show`: print the result of a run or of another command again, and make missing files from its records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from bench.cli.option_groups import OPTIONS, Reference, ReportOptions
from bench.cli.option_values import StoredResult
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.report import exporters


def show(
    run: StoredResult = None,
    /,
    *,
    relative_to: Annotated[str | None, Reference] = None,
    html: Annotated[
        list[Path] | None,
        Parameter(
            group=OPTIONS,
            consume_multiple=(0, 1),
            negative="",
            help="Write the report as a page instead of printing it; `report.html` in its folder by default.",
        ),
    ] = None,
    output: ReportOptions = ReportOptions(),
) -> int:
    """Print a result again: of a run, sweep, gate, tune, explain, roofline or merge; or write its report."""
    if html is not None:
        return write_result_page(run, relative_to, html[0] if html else None, output.results)
    return show_run(run, relative_to, output.results, output.full)


def write_result_page(name: str | None, relative_to: str | None, file: Path | None, results: Path) -> int:
    """Write the page of a result. The exit status is 0; 1 if a record could not be read.

    Args:
        name: of the result; the newest by default.
        relative_to: the case that the ratios of a run are relative to at first; the run's own by default.
        file: to write; by default the result's own report, which shows a run's own reference.
        results: the folder of all results.

    Raises:
        UserError: the result is unknown, none of its records can be read, or the file cannot be written.
    """
    from bench.cli.stored_results import read_page
    from bench.records import result_kinds, store
    from bench.report.html import run_file
    from bench.report.html.page_writer import write_page
    from bench.report.run_report import read_report

    if file is not None and file.suffix not in (".html", ".htm"):
        raise UserError(f"--html {file}: a page ends with .html; a run stands before the option: bench show RUN --html")
    folder = store.find_run(results, name, *result_kinds.KINDS)
    kind = result_kinds.find_kind(folder)
    path = file or folder / run_file.FILE
    if kind == "run":
        if file is None and relative_to is not None:
            raise UserError("--relative-to: the run's own report has the run's reference: use --html FILE")
        report, problems = read_report(folder, relative_to)
        store.write_text(path, run_file.export(report))
    else:
        page, problems = read_page(kind, folder, relative_to)
        write_page(path, page)
    console = Console()
    for problem in problems:
        console.print(problem, style="yellow", markup=False)
    console.print(f"Report: {path}", soft_wrap=True, markup=False, highlight=False)
    return 1 if problems else 0


def show_run(name: str | None, relative_to: str | None, results: Path, full: bool = False) -> int:
    """Print what a run or another command has found; of a run all tables with `full`.

    The exit status is 0; 1 if a record could not be read. Files that are there stay as they are; those that are missing
    are written if every record could be read and `relative_to` is the run's own.

    Raises:
        UserError: the run is unknown, or none of its records can be read.
    """
    from bench.cli.stored_results import check_reference, find_functions
    from bench.records import result_kinds, store
    from bench.report.conclusion import print_conclusion, print_heading
    from bench.report.html import run_file
    from bench.report.html.result_page import write_or_explain
    from bench.report.run_report import find_own_reference, read_report

    run = store.find_run(results, name, *result_kinds.KINDS)
    console = Console()
    kind = result_kinds.find_kind(run)
    if kind == "merge":
        from bench.compare.merged_output import show_merged

        return show_merged(console, run, relative_to, full)
    if kind is not None and kind != "run":
        check_reference(kind, relative_to)
        read_page, print_result = find_functions(kind)
        status = print_result(console, run)
        if not (status or (run / run_file.FILE).is_file()) and (problem := write_or_explain(run, read_page(run)[0])):
            console.print(problem, style="yellow", markup=False, soft_wrap=True)
        return status
    report, problems = read_report(run, relative_to)
    for problem in problems:
        console.print(problem, style="yellow", markup=False)
    if not problems and relative_to in (None, find_own_reference(report.records)):
        _write_missing_files(console, run, report)
    print_heading(console, report.records)
    print_conclusion(console, run, report, full)
    return 1 if problems else 0


def _write_missing_files(console: Console, run: Path, report: exporters.Report) -> None:
    """Write the missing files; the tables are shown even if the folder cannot be written."""
    from bench.report import exporters

    try:
        exporters.write_report(run, report, only_missing=True)
    except UserError as error:
        console.print(f"The missing files were not written: {error}", style="yellow", markup=False)
