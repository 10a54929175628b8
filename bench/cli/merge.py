"""`bench merge`: put runs of one task and suite from several machines into one folder."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console

from bench.cli import completers
from bench.cli.option_groups import OUTPUT, OutputOptions
from bench.cli.option_values import UserPath
from bench.errors import UserError


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class MergeOutput(OutputOptions):
    """Where runs are, and where they are put together."""

    into: Annotated[
        UserPath | None,
        Parameter(help="Folder to make for the runs; one in the folder of results by default."),
    ] = None


def merge(
    *runs: Annotated[
        str,
        Parameter(completer=completers.list_runs, help="Names or folders of runs of one suite, each of a machine."),
    ],
    output: MergeOutput = MergeOutput(),
) -> int:
    """Put runs of one task and suite from several machines into one folder.

    Each machine keeps its own tables, verdict and report; `bench show` prints them one after the other.
    """
    return merge_stored_runs(runs, output.into, output.results)


def merge_stored_runs(names: tuple[str, ...], into: Path | None, results: Path) -> int:
    """Merge runs and say where they are. The exit status is 0; 1 if a record could not be read.

    Args:
        names: of the runs, or their folders.
        into: the folder to make.
        results: the folder of all runs.

    Raises:
        UserError: fewer than two runs, an unknown one, runs of other suites or tasks, or a folder that is in use.
    """
    from bench.cli.found_runs import find_runs
    from bench.compare.merged_output import FILE, write_page
    from bench.compare.merged_runs import merge_runs, name_folder, read_merged
    from bench.compare.stored_run import read_runs
    from bench.report.terminal import print_problem

    folders = find_runs(names, results)
    if len(folders) < 2:
        raise UserError("a merge needs two runs or more: see bench list runs")
    runs = read_runs(folders)
    console = Console()
    for run in runs:
        for problem in run.problems:
            print_problem(console, f"{run.name}: {problem}")
    merged = merge_runs(runs, into or name_folder(runs, results, datetime.now(UTC)))
    page = merged / FILE
    write_page(page, read_merged(merged))
    machines = len({run.machine_key for run in runs})
    console.print(
        f"{len(runs)} runs of {machines} {'machine' if machines == 1 else 'machines'} are in {merged}, each with its "
        f"own tables, verdict and report. See them with bench show {merged}, or in {page}.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    return 1 if any(run.problems for run in runs) else 0
