"""`bench export`: write a run in a format that another program reads."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from bench.cli import completers
from bench.cli.option_groups import OUTPUT, OutputOptions, Reference
from bench.cli.option_values import UserPath
from bench.errors import UserError


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class ExportOutput(OutputOptions):
    """Where the run is, and where it is written to."""

    output: Annotated[
        UserPath | None,
        Parameter(help="File to write, and folder for `asv`; the standard output by default."),
    ] = None


def export(
    run: Annotated[str, Parameter(completer=completers.list_runs, help="Name or folder of a run.")],
    format_: Annotated[
        str,
        Parameter(
            name="FORMAT",
            completer=completers.list_formats,
            help="csv, parquet, markdown, latex, json, benchmark-json, github-action-benchmark, "
            "github-action-benchmark-bigger, bencher or asv.",
        ),
    ],
    /,
    *,
    relative_to: Annotated[str | None, Reference] = None,
    output: ExportOutput = ExportOutput(),
) -> int:
    """Write a run in a format that another program reads."""
    return export_run(run, format_, relative_to, output.output, output.results)


def export_run(name: str, format_name: str, relative_to: str | None, output: Path | None, results: Path) -> int:
    """Export a run. The exit status is 0; 1 if a record could not be read.

    Args:
        name: of the run, or its folder.
        format_name: one of `bench.report.export_formats.FORMATS`.
        relative_to: the case or backend that ratios are relative to; the run's own by default.
        output: the file, or the folder of a format that is one; None is the standard output.
        results: the folder of all runs.

    Raises:
        UserError: the run or the format is unknown, a package is missing, or the output cannot be written.
    """
    from bench.cli.found_runs import find_single_run
    from bench.records import store
    from bench.report.export_formats import export_file, export_folder, find_format
    from bench.report.run_report import read_report

    chosen = find_format(format_name)
    if output is None and chosen.is_folder:
        raise UserError(f"the format {format_name} is a folder of files: name it with --output")
    if output is None and not chosen.is_text and sys.stdout.isatty():
        raise UserError(f"the format {format_name} is no text: name a file with --output")
    if output is not None and not chosen.is_folder:
        store.check_writable(output)
    report, problems = read_report(find_single_run(name, results), relative_to)
    notes = Console(stderr=True)
    for problem in problems:
        notes.print(problem, style="yellow", markup=False, soft_wrap=True)
    if chosen.is_folder and output is not None:
        export_folder(chosen, report, output)
    else:
        _write(export_file(chosen, report), output)
    cases = len({record.case for record in report.records})
    notes.print(
        f"{report.records[0].run} with {len(report.records)} launches of {cases} cases, in the format {format_name}: "
        f"{chosen.purpose}{f'; written to {output}' if output else ''}.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    return 1 if problems else 0


def _write(content: bytes, output: Path | None) -> None:
    from bench.records import store

    if output is not None:
        store.write_bytes(output, content)
    elif sys.stdout.isatty():
        sys.stdout.write(content.decode())  # in the terminal's own encoding
    else:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
