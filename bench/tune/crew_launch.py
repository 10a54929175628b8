"""Launches of a crew, which is several variants side by side: the result of a launch, and speed-ups from results."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from backends.task import Variant
from bench.analysis.statistics import Interval, log_ratios, ratio_interval
from bench.records.record import MeasurementWarning

#: Most workers in a crew: they wait at the same time. The first variant is in every crew.
CREW_SIZE = 10
#: About how many seconds a round of the fastest variant takes.
ROUND_SECONDS = 0.3
#: The problem of a variant whose worker was not started.
NOT_TRIED = "not tried, there was no time left"


class LaunchResult(BaseModel):
    """The result of a launch. A variant whose worker died has a problem and no seconds.

    Attributes:
        names: of the variants. The others are compared with the first one, which is the default in most launches.
        rounds: requested rounds of each variant.
        seconds: by name, seconds of a step in each round.
        start_s: by name, the variant's share of the wall time outside rounds.
        start_up_s: by name, seconds of importing, building and the first step, by the worker's own clock.
        problems: by name, why there are no seconds.
        wall_s: seconds of the whole launch.
        warnings: by name, reasons to trust the variant's seconds less.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[str, ...]
    rounds: int
    seconds: dict[str, tuple[float, ...]]
    start_s: dict[str, float]
    start_up_s: dict[str, float]
    problems: dict[str, str]
    wall_s: float
    warnings: dict[str, tuple[MeasurementWarning, ...]] = {}


class VariantMeasurer(Protocol):
    """Measures any number of variants in one launch."""

    def __call__(self, variants: Sequence[Variant], rounds: int, start_within: float = math.inf) -> LaunchResult:
        """Measure one launch.

        Args:
            variants: the first one is part of each crew.
            rounds: of each variant.
            start_within: seconds after which no further worker is started.
        """


#: Launches one crew. Arguments: variants, rounds, whether to start the workers in reverse order, and `start_within` of
#: `VariantMeasurer`.
CrewLauncher = Callable[[Sequence[Variant], int, bool, float], LaunchResult]


class CrewMeasurer:
    """Splits the variants of a launch into crews, each with the first variant, and launches one crew after the other.

    Every second launch starts its workers in reverse order.
    """

    def __init__(self, launch: CrewLauncher) -> None:
        self.launch, self.launches = launch, 0

    def measure(self, variants: Sequence[Variant], rounds: int, start_within: float = math.inf) -> LaunchResult:
        """Measure one launch, see `VariantMeasurer`."""
        first, *others = variants
        reverse_start = self.launches % 2 == 1
        self.launches += 1
        offsets = range(0, max(1, len(others)), CREW_SIZE - 1)
        crews = [[first, *others[offset : offset + CREW_SIZE - 1]] for offset in offsets]
        return merge_crews([self.launch(crew, rounds, reverse_start, start_within) for crew in crews])


def merge_crews(crews: Sequence[LaunchResult]) -> LaunchResult:
    """The results of several crews as one result.

    The machine drifts from crew to crew. The drift is the ratio of the first variant's times, which every crew has, and
    the other variants' times are corrected by it.
    """
    first_crew, *others = crews
    shared = first_crew.names[0]
    seconds = dict(first_crew.seconds)
    for crew in others:
        drift = [then / now for then, now in zip(first_crew.seconds[shared], crew.seconds[shared], strict=False)]
        for name in crew.names[1:]:
            if name in crew.seconds:
                seconds[name] = tuple(s * d for s, d in zip(crew.seconds[name], drift, strict=False))
    start_s: dict[str, float] = {}
    for crew in crews:
        for name, start in crew.start_s.items():
            start_s[name] = start if name != shared else start_s.get(name, 0.0) + start / len(crews)
    return LaunchResult(
        names=(shared, *(name for crew in crews for name in crew.names[1:])),
        rounds=first_crew.rounds,
        seconds=seconds,
        start_s=start_s,
        start_up_s={name: start_up for crew in reversed(crews) for name, start_up in crew.start_up_s.items()},
        problems={name: problem for crew in crews for name, problem in crew.problems.items()},
        wall_s=sum(crew.wall_s for crew in crews),
        warnings={
            name: tuple(dict.fromkeys(warning for crew in crews for warning in crew.warnings.get(name, ())))
            for name in dict.fromkeys(name for crew in crews for name in crew.warnings)
        },
    )


def compute_speedup(launches: Sequence[LaunchResult], fast: str, slow: str) -> Interval | None:
    """The speed-up of a variant over another, from the launches that have both; None if there is no such launch.

    It has an interval from three launches on.
    """
    both = [launch.seconds for launch in launches if launch.seconds.get(fast) and launch.seconds.get(slow)]
    if not both:
        return None
    return ratio_interval(log_ratios([seconds[slow] for seconds in both], [seconds[fast] for seconds in both]))


def count_launches(launches: Sequence[LaunchResult], fast: str, slow: str) -> int:
    """Count the launches that have both variants."""
    return sum(bool(launch.seconds.get(fast) and launch.seconds.get(slow)) for launch in launches)


def compute_gain(launches: Sequence[LaunchResult], fast: str, slow: str) -> float | None:
    """The gain of a variant over another: the natural logarithm of its speed-up."""
    speedup = compute_speedup(launches, fast, slow)
    return None if speedup is None else math.log(speedup.estimate)
