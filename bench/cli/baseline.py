"""`bench baseline`: save a run as what later ones are gated against; list, show, remove."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

from bench.cli import completers
from bench.cli.option_groups import OWN, OutputOptions
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.records.baseline import Baseline


baseline = App(name="baseline", help="Save, list, show or remove what later runs are gated against.")
Name = Annotated[str, Parameter(completer=completers.baselines, help="Name of a baseline.")]


@baseline.command
def save(
    name: Annotated[str, Parameter(help="Name for the baseline; one that has this name is replaced.")],
    /,
    *,
    run: Annotated[
        str | None,
        Parameter(group=OWN, completer=completers.runs, help="Name or folder of a run; the newest by default."),
    ] = None,
    branch: Annotated[bool, Parameter(group=OWN, help="Add the git branch's name to the baseline's.")] = False,
    output: OutputOptions = OutputOptions(),
) -> None:
    """Save a run as a baseline, a small JSON file in results/baselines."""
    save_baseline(name, run, branch, output.results)


@baseline.command(name="list")
def list_(*, output: OutputOptions = OutputOptions()) -> None:
    """List the baselines."""
    list_all(output.results)


@baseline.command
def show(
    name: Annotated[Name, Parameter(help="Name or file of a baseline.")], /, *, output: OutputOptions = OutputOptions()
) -> None:
    """Show the figures of a baseline."""
    show_baseline(name, output.results)


@baseline.command
def rm(name: Name, /, *, output: OutputOptions = OutputOptions()) -> None:
    """Remove a baseline."""
    remove(name, output.results)


def save_baseline(name: str, run: str | None, by_branch: bool, results: Path) -> None:
    """Save a run, the newest by default; `by_branch` puts the branch's name behind the baseline's.

    Raises:
        UserError: no such run, too few launches, a name that no file should have, no branch.
    """
    from bench.analysis import run_as_baseline
    from bench.gate.decision import DECISION_POINTS
    from bench.machine.environment import PROJECT
    from bench.machine.git import try_git
    from bench.measure import resume
    from bench.records import baseline as baselines
    from bench.records import store

    branch = try_git(PROJECT, "symbolic-ref", "--quiet", "--short", "HEAD")
    if by_branch and branch is None:
        raise UserError("--branch needs a git checkout with a branch: leave it out, or check out a branch")
    if by_branch:
        name = f"{name}-{str(branch).replace('/', '-')}"
    baselines.build_path(results, name)
    folder = store.find_run(results, run)
    made = run_as_baseline.build_baseline(
        name, folder, asdict(resume.read_request(folder)), branch, fewest=DECISION_POINTS[0]
    )
    path = baselines.write(results, made)
    Console().print(f"Saved {len(made.cases)} cases of {made.run}: {path}", soft_wrap=True, markup=False)


def list_all(results: Path) -> None:
    """What there is; a file that cannot be read is named and left out."""
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
    """The figures of a baseline, with intervals over its launches.

    Raises:
        UserError: there is none, or its file cannot be used.
    """
    from bench.analysis import statistics
    from bench.analysis.metrics import METRICS
    from bench.records import baseline as baselines
    from bench.report.metric_format import choose_unit, format_figure

    one = baselines.find(results, name_or_file)
    console = Console()
    console.print(f"{one.name}: {one.run}, {one.measured}, {one.branch or 'no branch'}, {_machine(one)}", markup=False)
    table = Table("case", "metric", "median a launch", "launches", box=None, header_style="bold")
    for case in one.cases:
        for metric in METRICS:
            values = [launch.values[metric] for launch in case.launches if metric in launch.values]
            if values:
                level = statistics.ratio_interval([math.log(value) for value in values])
                table.add_row(
                    case.case, metric, f"{format_figure(metric, level)} {choose_unit(metric)}", str(len(values))
                )
    console.print(table)


def remove(name: str, results: Path) -> None:
    """Remove a baseline's file, also one that cannot be read.

    Raises:
        UserError: there is none.
    """
    from bench.records import baseline as baselines

    path = baselines.build_path(results, name)
    if not path.is_file():
        baselines.find(results, name)
    path.unlink()
    Console().print(f"Removed {path}", soft_wrap=True, markup=False)


def _machine(one: Baseline) -> str:
    machine = one.fingerprint["machine"]
    return f"{machine['CPU']}, {machine['usable cores']} cores"
