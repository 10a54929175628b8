"""`bench baseline`: save a run to compare later runs with; list, show or remove what was saved."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from bench.cli import completers
from bench.cli.option_groups import OPTIONS, OutputOptions, Run
from bench.errors import UserError

if TYPE_CHECKING:
    pass


baseline = App(name="baseline", help="Save runs as baselines for the gate; list, show, remove them.")
Name = Annotated[str, Parameter(completer=completers.list_baselines, help="Name of a baseline.")]


@baseline.command
def save(
    name: Annotated[str, Parameter(help="Name of the new baseline; replaces one of the same name.")],
    /,
    *,
    run: Annotated[
        str | None,
        Run,
        Parameter(
            help="Name or folder of the run to save; the newest by default.",
        ),
    ] = None,
    branch: Annotated[
        bool, Parameter(group=OPTIONS, help="Append the name of the git branch to the baseline's name.")
    ] = False,
    output: OutputOptions = OutputOptions(),
) -> None:
    """Save a run as a baseline: a small JSON file in results/baselines."""
    save_baseline(name, run, branch, output.results)


@baseline.command(name="list")
def list_(*, output: OutputOptions = OutputOptions()) -> None:
    """List the baselines."""
    list_baselines(output.results)


@baseline.command
def show(
    name: Annotated[Name, Parameter(help="Name or file of a baseline.")], /, *, output: OutputOptions = OutputOptions()
) -> None:
    """Show the figures of a baseline."""
    show_baseline(name, output.results)


@baseline.command
def rm(name: Name, /, *, output: OutputOptions = OutputOptions()) -> None:
    """Remove a baseline."""
    remove_baseline(name, output.results)


def save_baseline(name: str, run: str | None, by_branch: bool, results: Path) -> None:
    """Save a run, the newest by default; `by_branch` appends the branch's name to the baseline's.

    Raises:
        UserError: the run is unknown or has too few launches, the name is not allowed, or there is no branch.
    """
    from bench.analysis import run_as_baseline
    from bench.gate.decision import DECISION_POINTS
    from bench.machine.environment import PROJECT
    from bench.machine.git import run_git
    from bench.measure import resume
    from bench.records import baseline as baselines
    from bench.records import store

    try:
        branch = run_git(PROJECT, "symbolic-ref", "--short", "HEAD")
    except UserError as error:
        branch = None
        if by_branch:
            raise UserError(
                f"--branch needs a git checkout with a branch ({error}): leave it out, or check out a branch"
            ) from None
    if by_branch:
        name = f"{name}-{str(branch).replace('/', '-')}"
    baselines.build_path(results, name)
    folder = store.find_run(results, run)
    saved = run_as_baseline.build_baseline(
        name, folder, asdict(resume.read_request(folder)), branch, fewest=DECISION_POINTS[0]
    )
    path = baselines.write(results, saved)
    Console().print(f"Saved {len(saved.cases)} cases of {saved.run}: {path}", soft_wrap=True, markup=False)


def list_baselines(results: Path) -> None:
    """List the baselines; a file that cannot be read is named and left out."""
    from bench.records import baseline as baselines

    console = Console()
    table = Table("baseline", "measured", "branch", "revision", "cases", "launches", box=None, header_style="bold")
    for path in baselines.list_files(results):
        try:
            one = baselines.read(path)
        except UserError as error:
            console.print(str(error), style="yellow", markup=False, soft_wrap=True)
            continue
        launches = min(len(case.launches) for case in one.cases)
        revision = f"{(one.revision or '?')[:7]}{', changed' if one.dirty else ''}"
        table.add_row(path.stem, one.measured, one.branch or "–", revision, str(len(one.cases)), str(launches))
    console.print(table)


def show_baseline(name_or_file: str, results: Path) -> None:
    """Show the figures of a baseline, with intervals over its launches.

    Raises:
        UserError: it does not exist, or its file cannot be read.
    """
    from bench.analysis import statistics
    from bench.analysis.metrics import METRICS
    from bench.machine.machine_name import describe_machine
    from bench.records import baseline as baselines
    from bench.report.metric_format import choose_unit, format_figure

    one = baselines.find(results, name_or_file)
    console = Console()
    machine = describe_machine(one.fingerprint["machine"])
    console.print(f"{one.name}: {one.run}, {one.measured}, {one.branch or 'no branch'}, {machine}", markup=False)
    table = Table("case", "metric", "median of a launch", "launches", box=None, header_style="bold")
    for case in one.cases:
        for metric in METRICS:
            values = [launch.values[metric] for launch in case.launches if metric in launch.values]
            if values:
                level = statistics.ratio_interval([math.log(value) for value in values])
                table.add_row(
                    case.case, metric, f"{format_figure(metric, level)} {choose_unit(metric)}", str(len(values))
                )
    console.print(table)


def remove_baseline(name: str, results: Path) -> None:
    """Remove a baseline's file, even if it cannot be read.

    Raises:
        UserError: it does not exist.
    """
    from bench.records import baseline as baselines

    path = baselines.build_path(results, name)
    if not path.is_file():
        baselines.find(results, name)
    path.unlink()
    Console().print(f"Removed {path}", soft_wrap=True, markup=False)
