"""The tables of `bench trend`: one for each case and metric, with the changes that were found."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.analysis import run_as_baseline
from bench.analysis.metrics import METRICS
from bench.errors import UserError, make_unknown_error
from bench.machine.git import GitError, NotFetched, run_git
from bench.records import baseline, store
from bench.records.baseline import Baseline
from bench.records.checksummed_json import parse_checksummed_json
from bench.report.metric_format import choose_unit, format_figure
from bench.report.terminal import print_problem
from bench.trend import series
from bench.trend.series import Series


def show_trends(cases: Sequence[str], metrics: Sequence[str], history: str | None, results: Path) -> None:
    """Print a table for each series, and its changes.

    Args:
        cases: parts of cases' names; empty means all.
        metrics: empty means all.
        history: a baseline whose git history is shown in place of the runs.
        results: folder with runs and baselines.

    Raises:
        UserError: nothing to show, or an unknown metric.
    """
    for metric in metrics:
        if metric not in METRICS:
            raise make_unknown_error("metric", metric, METRICS)
    console = Console()
    baselines = list(_read_history(results, history, console) if history else _read_runs(results, console))
    if not baselines:
        raise UserError(f"there is no run in {results} yet: run the benchmark first")
    everything = series.build_series(baselines)
    chosen = [
        one
        for one in everything
        if (not metrics or one.metric in metrics) and (not cases or any(part in one.case for part in cases))
    ]
    if not chosen:
        known = ", ".join(dict.fromkeys(one.case for one in everything))
        raise UserError(f"no run has this case and metric: the cases are {known}")
    for one in chosen:
        console.print(_build_table(one))
        for line in _describe_changes(one):
            console.print(line, markup=False, soft_wrap=True)
    for line in series.describe_machine_changes(chosen):
        console.print(line, style="yellow", markup=False, soft_wrap=True)


def _read_runs(results: Path, console: Console) -> Iterator[Baseline]:
    """Read each run in the form of a baseline."""
    for run in store.list_runs(results):
        try:
            yield run_as_baseline.build_baseline(run.name, run, {}, None, fewest=1)
        except UserError as error:
            print_problem(console, str(error))


def _read_history(results: Path, name: str, console: Console) -> Iterator[Baseline]:
    """Read every committed version of a baseline's file, and the file itself."""
    path = baseline.build_path(results, name)
    folder = path.absolute().parent
    if not folder.is_dir():
        baseline.find(results, name)
    commits = run_git(folder, "rev-list", "HEAD", "--", path.name).split()
    if run_git(folder, "rev-parse", "--is-shallow-repository") == "true":
        print_problem(console, "This clone is shallow, and older commits are left out: git fetch --unshallow")
    contents = [_read_committed(folder, f"{commit}:./{path.name}") for commit in commits]
    seen = set()
    for text in [*contents, path.read_text(encoding="utf-8") if path.is_file() else None]:
        if text is None or text.strip() in seen:
            continue
        seen.add(text.strip())
        try:
            yield parse_checksummed_json(baseline.KIND, text.encode(), Baseline, baseline.SCHEMA)
        except ValueError as error:
            console.print(f"a version of {path.name} is left out: {error}", style="yellow", markup=False)
    if not seen:
        baseline.find(results, name)


def _read_committed(folder: Path, name: str) -> str | None:
    """The content of a file in a commit; None if the commit removed it."""
    try:
        return run_git(folder, "cat-file", "blob", name)
    except NotFetched:
        raise
    except GitError:
        return None


def _build_table(one: Series) -> Table:
    table = Table(
        "run", "measured", "commit", choose_unit(one.metric), box=None, header_style="bold", title_justify="left"
    )
    table.title = f"{one.case}: {one.metric}, task {one.task_hash}, on {one.machine} ({one.key})"
    for point in one.points:
        revision = (point.revision or "unknown")[:7]
        table.add_row(point.run, point.time, revision, format_figure(one.metric, point.value))
    return table


def _describe_changes(one: Series) -> Iterator[str]:
    changes = series.find_changes(one)
    for change in changes:
        word = METRICS[one.metric].worse if change.ratio > 1 else METRICS[one.metric].better
        yield (
            f"{one.case}, {one.metric}: {abs(change.ratio - 1):.1%} {word} since {change.after.time[:10]} "
            f"(commits {change.commits})"
        )
    if not changes and len(one.points) < series.FEWEST_POINTS:
        runs = "1 run" if len(one.points) == 1 else f"{len(one.points)} runs"
        yield f"{one.case}, {one.metric}: {runs}; finding a change needs {series.FEWEST_POINTS} or more"
    elif not changes:
        yield f"{one.case}, {one.metric}: no change found"
