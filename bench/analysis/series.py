"""A series: one metric of one case over many runs of a machine, and where its level changed permanently."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis import statistics
from bench.analysis.metrics import METRICS
from bench.analysis.statistics import Interval
from bench.errors import UserError
from bench.machine.machine_name import compute_machine_key, describe_machine
from bench.records.baseline import Baseline

#: The penalty of PELT (Killick, Fearnhead & Eckley 2012, JASA 107:1590) in units of the noise's variance and of
#: ln(number of points): a change counts if it explains more. Simulated in tests/bench/trend/test_trend.py: of series
#: of 8 to 40 points without a change at most 5 % show one; of 24 points, a change of 10 % at a spread of 2 % is found.
PENALTY = 6.0
#: The least number of points on each side of a change, and of a series in which changes are searched.
POINTS_PER_SIDE = 3
FEWEST_POINTS = 2 * POINTS_PER_SIDE
#: The median absolute difference of two normally distributed values, in standard deviations: sqrt(2) * 0.6745.
MEDIAN_DIFFERENCE = 0.9539
#: The smallest noise that is assumed, so that tiny differences between nearly equal values, as of memory, do not count.
LEAST_NOISE = 0.002


@dataclass(frozen=True)
class Point:
    """A run in a series: its time, its commit, and the mean of its launches' medians with its interval."""

    run: str
    time: str
    revision: str | None
    value: Interval


@dataclass(frozen=True)
class Series:
    """One metric of one case on one machine, oldest run first.

    Attributes:
        case: its name with the task, as `pytorch/default cifar10-resnet18`.
        machine: a description for people.
        key: identifies the machine.
    """

    case: str
    task: str
    task_hash: str
    metric: str
    machine: str
    key: str
    points: tuple[Point, ...]

    @property
    def backend_and_variant(self) -> str:
        """The case without its task, as options take it: `pytorch/default`."""
        return self.case.removesuffix(f" {self.task}")


@dataclass(frozen=True)
class LevelChange:
    """A permanent change of the level between two neighbouring points, by the factor `ratio`."""

    before: Point
    after: Point
    ratio: float

    @property
    def commits(self) -> str:
        """The range of commits that contains the cause, as `git log` takes it."""
        first, last = (point.revision[:7] if point.revision else "unknown" for point in (self.before, self.after))
        return first if first == last else f"{first}..{last}"


def build_series(baselines: Iterable[Baseline]) -> list[Series]:
    """Make all series of many runs; each machine has its own series.

    Args:
        baselines: one for each run, in any order.
    """
    found: dict[tuple[str, str, str, str, str], list[Point]] = {}
    machines: dict[str, str] = {}
    for one in sorted(baselines, key=lambda one: one.measured):
        machine = one.fingerprint["machine"]
        key = compute_machine_key(machine)
        machines[key] = describe_machine(machine)
        for case in one.cases:
            for metric in METRICS:
                values = [launch.values[metric] for launch in case.launches if metric in launch.values]
                if values:
                    level = statistics.ratio_interval([math.log(value) for value in values])
                    point = Point(one.run, one.measured, one.revision, level)
                    found.setdefault((case.case, case.task, case.task_hash, metric, key), []).append(point)
    return [
        Series(case, task, task_hash, metric, machines[key], key, tuple(points))
        for (case, task, task_hash, metric, key), points in found.items()
    ]


def find_changes(one: Series) -> list[LevelChange]:
    """Find where the level of a series changed permanently."""
    values = [point.value.estimate for point in one.points]
    cuts = find_change_points(values)
    ends = [0, *cuts, len(values)]
    found = []
    for left, cut, right in zip(ends, cuts, ends[2:], strict=False):
        ratio = math.exp(np.mean(np.log(values[cut:right])) - np.mean(np.log(values[left:cut])))
        found.append(LevelChange(one.points[cut - 1], one.points[cut], ratio))
    return found


def find_change_points(values: Sequence[float]) -> list[int]:
    """Find the index of the first value of each new level, by PELT on the logarithms divided by their noise.

    The noise is estimated from the median absolute difference of neighbours, which a few changes hardly affect.

    Raises:
        ValueError: a value that is not above 0.
        UserError: ruptures is not installed; it had no release for Python 3.14 yet.
    """
    if any(not value > 0 for value in values):
        raise ValueError(f"a trend needs values above 0, not {list(values)}")
    if len(values) < FEWEST_POINTS:
        return []
    try:
        import ruptures
    except ImportError:
        raise UserError("finding changes needs ruptures, which is not installed: pip install ruptures") from None
    logs = np.log(np.asarray(values, dtype=float))
    noise = max(float(np.median(np.abs(np.diff(logs)))) / MEDIAN_DIFFERENCE, LEAST_NOISE)
    fit = ruptures.Pelt(model="l2", min_size=POINTS_PER_SIDE, jump=1).fit((logs / noise).reshape(-1, 1))
    return list(fit.predict(pen=PENALTY * math.log(len(values))))[:-1]


def describe_machine_changes(all_series: Sequence[Series]) -> Iterator[str]:
    """Describe, in a line for each case and metric, that several machines measured it."""
    by_metric: dict[tuple[str, str], list[Series]] = {}
    for one in all_series:
        by_metric.setdefault((one.case, one.metric), []).append(one)
    for (case, metric), several in by_metric.items():
        keys = {one.key for one in several}
        if len(keys) > 1:
            names = "; ".join(f"{one.machine} ({one.key}, from {one.points[0].time[:10]})" for one in several)
            yield f"{case}, {metric}: measured on {len(keys)} machines, each its own series: {names}"
