"""Trends in tables, with the changes that were found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.analysis import run_as_baseline
from bench.analysis.metrics import METRICS
from bench.errors import UserError, make_unknown_error
from bench.machine.git import try_git
from bench.records import baseline, store
from bench.records.baseline import Baseline
from bench.records.checksummed_json import parse_checksummed_json
from bench.report.metric_format import choose_unit, format_figure
from bench.trend import series
from bench.trend.series import Series


def show_series(cases: Sequence[str], metrics: Sequence[str], history: str | None, results: Path) -> None:
    """Print a table a series, and the changes.

    Args:
        cases: parts of cases' names; empty means all.
        metrics: empty means all.
        history: a baseline whose git history is taken in place of the runs.
        results: folder with runs and baselines.

    Raises:
        UserError: nothing to show, or an unknown metric.
    """

    for metric in metrics:
        if metric not in METRICS:
            raise make_unknown_error("metric", metric, METRICS)
    console = Console()
    found = list(_history(results, history, console) if history else _runs(results, console))
    if not found:
        raise UserError(f"there is no run in {results} yet: run the benchmark first")
    everything = series.build_series(found)
    chosen = [
        one
        for one in everything
        if (not metrics or one.metric in metrics) and (not cases or any(part in one.case for part in cases))
    ]
    if not chosen:
        known = ", ".join(dict.fromkeys(one.case for one in everything))
        raise UserError(f"no run has such a case and metric: the cases are {known}")
    for one in chosen:
        console.print(_table(one))
        for line in _changes(one):
            console.print(line, markup=False, soft_wrap=True)
    for line in series.describe_machine_changes(chosen):
        console.print(line, style="yellow", markup=False, soft_wrap=True)


def _runs(results: Path, console: Console) -> Iterator[Baseline]:
    """Each run as a baseline would have it."""

    for run in store.list_runs(results):
        try:
            yield run_as_baseline.build_baseline(run.name, run, {}, None, fewest=1)
        except UserError as error:
            console.print(str(error), style="yellow", markup=False, soft_wrap=True)


def _history(results: Path, name: str, console: Console) -> Iterator[Baseline]:
    """Every committed state of a baseline's file, and the one that lies there."""

    path = baseline.build_path(results, name)
    folder = path.absolute().parent
    if not folder.is_dir():
        baseline.find(results, name)
    commits = try_git(folder, "log", "--format=%H", "--", path.name)
    if commits is None:
        raise UserError(f"{folder} is in no git repository: --history needs one")
    contents = [try_git(folder, "show", f"{commit}:./{path.name}") for commit in commits.split()]
    seen = set()
    for text in [*contents, path.read_text() if path.is_file() else None]:
        if text is None or text.strip() in seen:
            continue
        seen.add(text.strip())
        try:
            yield parse_checksummed_json(baseline.KIND, text.encode(), Baseline, baseline.SCHEMA)
        except ValueError as error:
            console.print(f"a state of {path.name} is left out: {error}", style="yellow", markup=False)
    if not seen:
        baseline.find(results, name)


def _table(one: Series) -> Table:

    table = Table(
        "run", "measured", "commit", choose_unit(one.metric), box=None, header_style="bold", title_justify="left"
    )
    table.title = f"{one.case}: {one.metric}, task {one.task_hash}, on {one.machine} ({one.key})"
    for point in one.points:
        revision = (point.revision or "unknown")[:7]
        table.add_row(point.run, point.time, revision, format_figure(one.metric, point.value))
    return table


def _changes(one: Series) -> Iterator[str]:

    found = series.find_changes(one)
    for change in found:
        word = METRICS[one.metric].worse if change.ratio > 1 else METRICS[one.metric].better
        yield (
            f"{one.case}, {one.metric}: {abs(change.ratio - 1):.1%} {word} from {change.after.time[:10]} on "
            f"(commits {change.commits})"
        )
    if not found and len(one.points) < series.FEWEST_POINTS:
        yield f"{one.case}, {one.metric}: {len(one.points)} runs; a change is looked for from {series.FEWEST_POINTS} on"
    elif not found:
        yield f"{one.case}, {one.metric}: no change found"
