"""`bench baseline`: save a run as what later ones are gated against; list, show, remove."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.analysis import run_as_baseline, statistics
from bench.analysis.metrics import METRICS
from bench.errors import UserError
from bench.gate.decision import LOOKS
from bench.gate.gate_report import size, unit
from bench.gate.source_trees import git
from bench.machine.environment import PROJECT
from bench.measure import resume
from bench.records import baseline, store
from bench.records.baseline import Baseline


def save(name: str, run: str | None, by_branch: bool, results: Path) -> None:
    """Save a run, the newest by default; `by_branch` puts the branch's name behind the baseline's.

    Raises:
        UserError: no such run, too few launches, a name that no file should have, no branch.
    """
    branch = _branch()
    if by_branch and branch is None:
        raise UserError("--branch needs a git checkout with a branch: leave it out, or check out a branch")
    if by_branch:
        name = f"{name}-{str(branch).replace('/', '-')}"
    baseline.path_of(results, name)
    folder = store.find(results, run)
    made = run_as_baseline.of_run(name, folder, asdict(resume.asked(folder)), branch, fewest=LOOKS[0])
    path = baseline.write(results, made)
    Console().print(f"Saved {len(made.cases)} cases of {made.run}: {path}", soft_wrap=True, markup=False)


def list_all(results: Path) -> None:
    """What there is; a file that cannot be read is named and left out."""
    console = Console()
    table = Table("baseline", "measured", "branch", "revision", "cases", "launches", box=None, header_style="bold")
    for path in baseline.files(results):
        try:
            one = baseline.read(path)
        except UserError as error:
            console.print(str(error), style="yellow", markup=False, soft_wrap=True)
            continue
        launches = min(len(case.launches) for case in one.cases)
        revision = f"{(one.revision or '?')[:7]}{', changed' if one.dirty else ''}"
        table.add_row(path.stem, one.measured, one.branch or "–", revision, str(len(one.cases)), str(launches))
    console.print(table)


def show(name_or_file: str, results: Path) -> None:
    """The figures of a baseline, with intervals over its launches.

    Raises:
        UserError: there is none, or its file cannot be used.
    """
    one = baseline.find(results, name_or_file)
    console = Console()
    console.print(f"{one.name}: {one.run}, {one.measured}, {one.branch or 'no branch'}, {_machine(one)}", markup=False)
    table = Table("case", "metric", "median a launch", "launches", box=None, header_style="bold")
    for case in one.cases:
        for metric in METRICS:
            values = [launch.values[metric] for launch in case.launches if metric in launch.values]
            if values:
                level = statistics.ratio([math.log(value) for value in values])
                table.add_row(case.case, metric, f"{size(metric, level)} {unit(metric)}", str(len(values)))
    console.print(table)


def remove(name: str, results: Path) -> None:
    """Remove a baseline's file, also one that cannot be read.

    Raises:
        UserError: there is none.
    """
    path = baseline.path_of(results, name)
    if not path.is_file():
        baseline.find(results, name)
    path.unlink()
    Console().print(f"Removed {path}", soft_wrap=True, markup=False)


def _machine(one: Baseline) -> str:
    machine = one.fingerprint["machine"]
    return f"{machine['CPU']}, {machine['usable cores']} cores"


def _branch() -> str | None:
    try:
        return git(PROJECT, "symbolic-ref", "--quiet", "--short", "HEAD")
    except (UserError, OSError):  # no repository, no branch, no git
        return None
