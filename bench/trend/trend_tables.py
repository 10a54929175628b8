"""The tables of `bench trend`: a row with a small plot for each case and metric, and the changes that were found."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from bench.analysis import run_as_baseline, series
from bench.analysis.metrics import METRICS
from bench.analysis.series import LevelChange, Series
from bench.analysis.statistics import Interval
from bench.errors import UserError, make_unknown_error
from bench.machine.git import GitError, NotFetched, run_git
from bench.records import baseline, store
from bench.records.baseline import Baseline
from bench.records.checksummed_json import parse_checksummed_json
from bench.report.list_table import ListTable
from bench.report.metric_format import choose_unit, format_figure
from bench.report.sparkline import draw_sparkline
from bench.report.terminal import print_problem

#: The most runs in a plot; with it, a row fits 80 columns.
PLOT_WIDTH = 16


def show_trends(cases: Sequence[str], metrics: Sequence[str], history: str | None, results: Path) -> None:
    """Print a row for each series, and its changes. With `cases` or `metrics`, each run of a series is a row.

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
    changes = {one: series.find_changes(one) for one in chosen}
    for heading, group in _group_by_task(chosen).items():
        console.print(heading, style="bold", markup=False, highlight=False)
        console.print(_build_summary(group, changes))
        console.print()
    if cases or metrics:
        for one in chosen:
            console.print(f"{one.case}, {one.metric}, {choose_unit(one.metric)}:", markup=False, highlight=False)
            console.print(_build_table(one))
            console.print()
    found = [line for one in chosen for line in _describe_changes(one, changes[one], results)]
    for line in found or [_explain_no_change(chosen)]:
        console.print(line, markup=False, soft_wrap=True, highlight=False)
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


def _group_by_task(chosen: Sequence[Series]) -> dict[str, list[Series]]:
    """Group series by task and machine, under a heading that names both."""
    groups: dict[str, list[Series]] = {}
    for one in chosen:
        groups.setdefault(f"{one.task} ({one.task_hash}), on {one.machine} ({one.key})", []).append(one)
    return groups


def _build_summary(group: Sequence[Series], changes: Mapping[Series, Sequence[LevelChange]]) -> ListTable:
    rows = []
    for one in group:
        levels = [point.value.estimate for point in one.points]
        starts = [one.points.index(change.after) for change in changes[one]]
        newest = format_figure(one.metric, Interval(levels[-1], None, None))
        rows.append(
            (
                one.backend_and_variant,
                one.metric,
                str(len(levels)),
                draw_sparkline(levels, starts, PLOT_WIDTH),
                newest,
                choose_unit(one.metric),
                _format_change(levels[-1] / levels[0]) if len(levels) > 1 else "–",
            )
        )
    return ListTable(("case", "metric", "runs", "oldest to newest", "newest", "unit", "since oldest"), rows)


def _build_table(one: Series) -> ListTable:
    """A row for each run; the change is that since the run before."""
    rows = []
    for before, point in zip((None, *one.points), one.points, strict=False):
        revision = (point.revision or "unknown")[:7]
        change = _format_change(point.value.estimate / before.value.estimate) if before else "–"
        rows.append((point.run, revision, format_figure(one.metric, point.value), change))
    return ListTable(("run", "commit", f"{choose_unit(one.metric)} [95 % interval]", "change"), rows)


def _format_change(ratio: float) -> str:
    return f"{ratio - 1:+.1%}"


def _describe_changes(one: Series, changes: Sequence[LevelChange], results: Path) -> Iterator[str]:
    """Describe each change: its size, since when, and what to look at."""
    for change in changes:
        word = METRICS[one.metric].worse if change.ratio > 1 else METRICS[one.metric].better
        yield (
            f"{one.case}, {one.metric}: {abs(change.ratio - 1):.1%} {word} since {change.after.time[:10]} "
            f"(commits {change.commits})"
        )
        runs = [change.before.run, change.after.run]
        if all((results / run).is_dir() for run in runs):  # a baseline's history may have runs that are elsewhere
            yield f"    side by side: {shlex.join(['bench', 'compare', *runs])}"


def _explain_no_change(chosen: Sequence[Series]) -> str:
    longest = max(len(one.points) for one in chosen)
    if longest < series.FEWEST_POINTS:
        runs = "1 run" if longest == 1 else f"{longest} runs"
        return f"{runs}; finding a change needs {series.FEWEST_POINTS} or more of one case on one machine."
    return "No permanent change found."
