"""`bench compare`: show stored runs side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from bench.cli import completers
from bench.cli.option_groups import OUTPUT, OutputOptions, Reference
from bench.cli.option_values import UserPath
from bench.errors import UserError


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class CompareOutput(OutputOptions):
    """Where runs are, and where the comparison is written to."""

    html: Annotated[UserPath | None, Parameter(help="File for the comparison as a page.")] = None
    markdown: Annotated[UserPath | None, Parameter(help="File for its tables, as Markdown.")] = None
    full: Annotated[bool, Parameter(help="Print the tables of compute rounds, too.")] = False


def compare(
    *runs: Annotated[
        str,
        Parameter(
            completer=completers.list_runs,
            help="Names or folders of two runs or more; the others are compared with the first.",
        ),
    ],
    relative_to: Annotated[str | None, Reference] = None,
    output: CompareOutput = CompareOutput(),
) -> int:
    """Show stored runs side by side: of other days, machines or versions, or a colleague's.

    What differs between them comes first. Nothing is measured.
    """
    return compare_stored_runs(runs, relative_to, output)


def compare_stored_runs(names: tuple[str, ...], relative_to: str | None, output: CompareOutput) -> int:
    """Compare runs, print the tables, and write the files. The exit status is 0; 1 if a record could not be read.

    Args:
        names: of the runs, or their folders.
        relative_to: the case or backend that ratios within a run are relative to; that of the first run by default.
        output: the folder of all runs, the files to write, and whether to print all tables.

    Raises:
        UserError: fewer than two runs, an unknown one, one without a readable record, no task in common with the
            first, or a file that cannot be written.
    """
    from bench.cli.found_runs import find_runs
    from bench.compare.comparison_sentences import describe_comparison, explain_nothing_in_common
    from bench.compare.comparison_tables import build_tables
    from bench.compare.run_comparison import compare_runs
    from bench.compare.stored_run import read_runs
    from bench.records import store
    from bench.report.exporters import Report, export
    from bench.report.tables.throughput_table import KINDS
    from bench.report.terminal import print_problem, render_table

    for path in filter(None, (output.html, output.markdown)):
        store.check_writable(path)
    folders = find_runs(names, output.results)
    if len(folders) < 2:
        raise UserError("a comparison needs two runs or more: see bench list runs")
    runs = read_runs(folders)
    comparison = compare_runs(runs, relative_to)
    console = Console()
    for run in runs:
        for problem in run.problems:
            print_problem(console, f"{run.letter}: {problem}")
    if not comparison.tasks:
        has = explain_nothing_in_common(comparison)
        raise UserError(f"nothing can be compared: {has}: choose runs of one task, see bench list runs")
    for table in build_tables(comparison, KINDS if output.full else KINDS[:1]):
        console.print(render_table(table))
    sentences = describe_comparison(comparison)
    for sentence in sentences:
        console.print(sentence, markup=False, highlight=False)
    if output.markdown:
        tables = export("markdown", Report([], build_tables(comparison)))
        store.write_text(output.markdown, "".join(f"{sentence}\n\n" for sentence in sentences) + tables)
    if output.html:
        from bench.compare.comparison_page import build_page
        from bench.report.html.page_writer import write_page

        write_page(output.html, build_page(comparison))
    for path in filter(None, (output.markdown, output.html)):
        console.print(f"Written: {path}", markup=False, highlight=False, soft_wrap=True)
    return 1 if any(run.problems for run in runs) else 0
