"""The pages of histories: each case and metric of a task on a machine over all runs, with the changes of its level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from backends import REGISTRY
from bench.analysis.metrics import METRICS
from bench.analysis.series import FEWEST_POINTS, LevelChange, Series, find_changes
from bench.publish.page_names import make_page_name
from bench.records.units import MB
from bench.report.figures.figure import Line, LinePlot, Point
from bench.report.html.page import Block, Command, Links, Notice, Page, Section, Text
from bench.report.metric_format import choose_unit, format_figure
from bench.report.tables.table import Cell, Column, Table

#: What the metrics are called on a page.
TITLES = {
    "pipeline": "Time per training step, with the input pipeline",
    "compute": "Time per training step, on batches already on the device",
    "step": "Time per step of the test",
    "first-step": "First step",
    "host-memory": "Peak of host memory",
    "device-memory": "Peak of device memory",
}


@dataclass(frozen=True)
class History:
    """All series of one task on one machine."""

    series: tuple[Series, ...]

    @property
    def title(self) -> str:
        """The task and the machine."""
        first = self.series[0]
        return f"{first.task} on {first.machine}"

    @property
    def page(self) -> str:
        """The address of its page, from the site's folder."""
        first = self.series[0]
        return f"history/{make_page_name(f'{first.task}-{first.task_hash}-{first.key}')}"

    @property
    def runs(self) -> tuple[str, ...]:
        """The names of all runs that it has, oldest first."""
        times = {point.run: point.time for one in self.series for point in one.points}
        return tuple(sorted(times, key=lambda run: (times[run], run)))


@dataclass(frozen=True)
class FoundChange:
    """A permanent change, and the series that it is in."""

    of: Series
    change: LevelChange

    @property
    def size(self) -> str:
        """The size of the change in words: `20.0 % slower`."""
        word = METRICS[self.of.metric].worse if self.change.ratio > 1 else METRICS[self.of.metric].better
        return f"{100 * abs(self.change.ratio - 1):.1f} % {word}"

    @property
    def sentence(self) -> str:
        """The change in a sentence."""
        return (
            f"{self.of.case}, {self.of.metric}: {self.size} since {self.change.after.time[:10]} "
            f"(commits {self.change.commits})."
        )


def group_series(all_series: Sequence[Series]) -> list[History]:
    """Group series by task and machine, with the cases in the order of the registry of backends."""
    groups: dict[tuple[str, str, str], list[Series]] = {}
    ranks = {name: rank for rank, name in enumerate(REGISTRY)}
    for one in sorted(all_series, key=lambda one: ranks.get(one.case.partition("/")[0], len(ranks))):
        groups.setdefault((one.task, one.task_hash, one.key), []).append(one)
    return [History(tuple(group)) for group in groups.values()]


def list_changes(all_series: Sequence[Series]) -> list[FoundChange]:
    """List all permanent changes, the newest first."""
    found = [FoundChange(one, change) for one in all_series for change in find_changes(one)]
    return sorted(found, key=lambda one: (one.change.after.time, one.change.before.run), reverse=True)


def build_history_page(history: History, pages: Mapping[str, str]) -> Page:
    """Build the page of a history.

    Args:
        history: at least one series.
        pages: the addresses of runs' pages from the site's folder, by the run's name.
    """
    changes = list_changes(history.series)
    longest = max(len(one.points) for one in history.series)
    answers = [one.sentence for one in changes[:1]]
    if changes:
        answer = f"{len(changes)} permanent {'change' if len(changes) == 1 else 'changes'} in {longest} runs."
    elif longest < FEWEST_POINTS:
        answer = f"{longest} {'run' if longest == 1 else 'runs'}: finding a change needs {FEWEST_POINTS} or more."
    else:
        answer = f"No permanent change found in {longest} runs."
    metrics = dict.fromkeys(one.metric for one in history.series)
    return Page(
        title=f"History of {history.title}",
        facts=f"{len(history.runs)} runs, task {history.series[0].task_hash}, machine {history.series[0].key}",
        verdict=(*answers, answer),
        opening=tuple(_describe_changes(changes, pages)),
        sections=tuple(Section(metric, tuple(_build_metric(history, metric, pages))) for metric in metrics),
        closing=(Links("Site", (("All runs", "../index.html"),)),),
        feed="../feed.xml",
    )


def _describe_changes(changes: Sequence[FoundChange], pages: Mapping[str, str]) -> Iterator[Block]:
    """Describe the changes, and below those between the same two runs their commits and the runs' pages."""
    for (before, after), between in groupby(changes, lambda one: (one.change.before.run, one.change.after.run)):
        for one in between:
            evidence = f"{one.of.metric}, since {one.change.after.time[:10]}: from run {before} to run {after}."
            yield Notice(one.of.backend_and_variant, one.size, evidence)
        if ".." in one.change.commits and "unknown" not in one.change.commits:
            yield Command(f"git log {one.change.commits}", "The commits between")
        if links := [(run, f"../{pages[run]}") for run in (before, after) if run in pages]:
            yield Links("The runs before and after the change", tuple(links))


def _build_metric(history: History, metric: str, pages: Mapping[str, str]) -> list[Block]:
    runs = history.runs
    places = {run: number for number, run in enumerate(runs, start=1)}
    of_metric = [one for one in history.series if one.metric == metric]
    unit = choose_unit(metric)
    plot = LinePlot(
        title=TITLES.get(metric, metric),
        how_to_read=(
            "A marker is a run, the oldest on the left, with its 95 % interval over launches; lower is better. A "
            "dashed line is where the level of the case of its colour changed permanently: an outlier is none."
        ),
        x_title="run, the oldest first",
        y_title=unit,
        lines=tuple(_build_line(one, places, MB if unit == "MB" else 1e-3) for one in of_metric),
    )
    points = {(point.run, one.case): point for one in of_metric for point in one.points}
    rows = []
    for run in reversed(runs):
        of_run = [points.get((run, one.case)) for one in of_metric]
        some = next((point for point in of_run if point), None)
        if some is not None:
            rows.append(
                (
                    Cell(run, link=f"../{pages[run]}" if run in pages else ""),
                    Cell(str(places[run])),
                    Cell(some.time[:16].replace("T", " ")),
                    Cell((some.revision or "unknown")[:7]),
                    *(Cell(format_figure(metric, point.value) if point else "–") for point in of_run),
                )
            )
    columns = (
        Column("run", False),
        Column("place"),
        Column("measured", False),
        Column("commit", False),
        *(Column(f"{one.backend_and_variant}, {unit}") for one in of_metric),
    )
    few = [] if len(runs) > 1 else [Text("A line needs two runs or more.", "quiet")]
    return [plot, *few, Table(f"{TITLES.get(metric, metric)}, by run", columns, tuple(rows))]


def _build_line(one: Series, places: Mapping[str, int], scale: float) -> Line:
    return Line(
        case=one.backend_and_variant,
        points=tuple(
            Point(
                places[point.run],
                point.value.estimate / scale,
                None if point.value.low is None else point.value.low / scale,
                None if point.value.high is None else point.value.high / scale,
            )
            for point in one.points
        ),
        breaks=tuple((places[found.before.run] + places[found.after.run]) / 2 for found in find_changes(one)),
    )
