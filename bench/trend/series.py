"""Trends: one figure over many runs of a machine, and where it changed for good."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.analysis import statistics
from bench.analysis.metrics import METRICS
from bench.analysis.statistics import Interval
from bench.errors import UserError
from bench.records.baseline import Baseline

#: What a change has to explain, in units of the noise's variance and of ln(number of points), to count: the penalty of
#: PELT (Killick, Fearnhead & Eckley 2012, JASA 107:1590). Simulated in tests/bench/test_trend.py: at 8 to 40 points
#: without a change at most 5 % of series are said to have one, and 10 % of change at a spread of 2 % is found in 24.
PENALTY = 6.0
#: Points on each side of a change, and fewest points of a series that is looked at.
SIDE = 3
FEWEST = 2 * SIDE
#: The median absolute difference of two normal values, in standard deviations: sqrt(2) * 0.6745.
OF_DIFFERENCES = 0.9539
#: No figure is steadier than this: values that are nearly the same, as of memory, are not told apart.
LEAST_NOISE = 0.002


@dataclass(frozen=True)
class Point:
    """A run in a series: when, of which commit, the mean over its launches' medians with its interval."""

    run: str
    time: str
    revision: str | None
    value: Interval


@dataclass(frozen=True)
class Series:
    """One metric of one case on one machine, oldest first. `machine` is told to people, `key` tells machines apart."""

    case: str
    task_hash: str
    metric: str
    machine: str
    key: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Change:
    """From the point before to the point after, the level changed by `ratio`."""

    before: Point
    after: Point
    ratio: float

    @property
    def commits(self) -> str:
        """The range in which the cause lies, as `git log` takes it."""
        first, last = (point.revision[:7] if point.revision else "unknown" for point in (self.before, self.after))
        return first if first == last else f"{first}..{last}"


def series(baselines: Iterable[Baseline]) -> list[Series]:
    """All series of many runs; a machine that changed begins another one.

    Args:
        baselines: one a run, in any order.
    """
    found: dict[tuple[str, str, str, str], list[Point]] = {}
    machines: dict[str, str] = {}
    for one in sorted(baselines, key=lambda one: one.measured):
        machine = one.fingerprint["machine"]
        key = hashlib.sha256(json.dumps(machine, sort_keys=True).encode()).hexdigest()[:8]
        machines[key] = f"{machine['CPU']}, {machine['usable cores']} cores, {machine['memory, GiB']} GiB"
        for case in one.cases:
            for metric in METRICS:
                values = [launch.values[metric] for launch in case.launches if metric in launch.values]
                if values:
                    level = statistics.ratio([math.log(value) for value in values])
                    point = Point(one.run, one.measured, one.revision, level)
                    found.setdefault((case.case, case.task_hash, metric, key), []).append(point)
    return [
        Series(case, task_hash, metric, machines[key], key, tuple(points))
        for (case, task_hash, metric, key), points in found.items()
    ]


def changes(one: Series) -> list[Change]:
    """Where the level changed for good."""
    values = [point.value.estimate for point in one.points]
    cuts = change_points(values)
    ends = [0, *cuts, len(values)]
    found = []
    for left, cut, right in zip(ends, cuts, ends[2:], strict=False):
        ratio = math.exp(np.mean(np.log(values[cut:right])) - np.mean(np.log(values[left:cut])))
        found.append(Change(one.points[cut - 1], one.points[cut], ratio))
    return found


def change_points(values: Sequence[float]) -> list[int]:
    """Indices of the first values of new levels, by PELT on the logarithms, scaled by their own noise.

    The noise is the median absolute difference of neighbours, which a few changes of level hardly move.

    Raises:
        ValueError: a value that is not above 0.
        UserError: ruptures is not installed: it had no release for Python 3.14 yet.
    """
    if any(not value > 0 for value in values):
        raise ValueError(f"a trend needs values above 0, not {list(values)}")
    if len(values) < FEWEST:
        return []
    try:
        import ruptures
    except ImportError:
        raise UserError("looking for changes needs ruptures, which is not installed: pip install ruptures") from None
    logs = np.log(np.asarray(values, dtype=float))
    noise = max(float(np.median(np.abs(np.diff(logs)))) / OF_DIFFERENCES, LEAST_NOISE)
    fit = ruptures.Pelt(model="l2", min_size=SIDE, jump=1).fit((logs / noise).reshape(-1, 1))
    return list(fit.predict(pen=PENALTY * math.log(len(values))))[:-1]


def machine_changes(all_series: Sequence[Series]) -> Iterator[str]:
    """A line for each case and metric that was measured on several machines."""
    by_case: dict[tuple[str, str], list[Series]] = {}
    for one in all_series:
        by_case.setdefault((one.case, one.metric), []).append(one)
    for (case, metric), several in by_case.items():
        keys = list(dict.fromkeys(one.key for one in several))
        if len(keys) > 1:
            names = "; ".join(f"{one.machine} ({one.key}, from {one.points[0].time[:10]})" for one in several)
            yield f"{case}, {metric}: measured on {len(keys)} machines, which are not joined: {names}"
