"""What a launch of several variants side by side told: their steps' times, and what starting them took."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from pydantic import BaseModel, ConfigDict

from backends.task import Variant
from bench.analysis.statistics import Interval, log_ratios, ratio

#: Workers that wait at the same time; the first variant is one of each crew.
CREW = 10
#: The problem of a variant whose worker was not started.
NOT_TRIED = "not tried, the time was over"


class Launched(BaseModel):
    """One launch. Of a variant whose worker died there is a problem, and no seconds.

    Attributes:
        names: of the variants; the first one is what the others are compared with, mostly the default.
        rounds: that were asked for.
        seconds: a step, of each round, by name.
        start_s: by name, its share of the wall time that is spent outside rounds.
        start_up_s: by name, what its own clock says of importing, building and the first step.
        problems: by name, why there are no seconds.
        wall_s: all of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    names: tuple[str, ...]
    rounds: int
    seconds: dict[str, tuple[float, ...]]
    start_s: dict[str, float]
    start_up_s: dict[str, float]
    problems: dict[str, str]
    wall_s: float


class Measure(Protocol):
    """Measures variants side by side."""

    def __call__(self, variants: Sequence[Variant], rounds: int, start_within: float = math.inf) -> Launched:
        """One launch.

        Args:
            variants: the first one is part of each crew.
            rounds: of each.
            start_within: seconds after which no further worker is started.
        """


#: One crew: (variants, rounds, whether to start in reverse order, `Measure`'s start_within).
LaunchCrew = Callable[[Sequence[Variant], int, bool, float], Launched]


class Crews:
    """A `Measure` of more variants than can wait side by side: crew by crew, the first one in each."""

    def __init__(self, launch: LaunchCrew) -> None:
        self.launch, self.launches = launch, 0

    def measure(self, variants: Sequence[Variant], rounds: int, start_within: float = math.inf) -> Launched:
        """See `Measure`."""
        first, *others = variants
        reverse_start = self.launches % 2 == 1
        self.launches += 1
        starts = range(0, max(1, len(others)), CREW - 1)
        crews = [[first, *others[at : at + CREW - 1]] for at in starts]
        return merged([self.launch(crew, rounds, reverse_start, start_within) for crew in crews])


def merged(crews: Sequence[Launched]) -> Launched:
    """Crews as one launch.

    What their first variant took in one crew and in another tells the machine's drift, which is taken out of the
    others' times.
    """
    first, *others = crews
    shared = first.names[0]
    seconds = dict(first.seconds)
    for crew in others:
        drift = [then / now for then, now in zip(first.seconds[shared], crew.seconds[shared], strict=False)]
        for name in crew.names[1:]:
            if name in crew.seconds:
                seconds[name] = tuple(s * d for s, d in zip(crew.seconds[name], drift, strict=False))
    starts: dict[str, float] = {}
    for crew in crews:
        for name, start in crew.start_s.items():
            starts[name] = start if name != shared else starts.get(name, 0.0) + start / len(crews)
    return Launched(
        names=(shared, *(name for crew in crews for name in crew.names[1:])),
        rounds=first.rounds,
        seconds=seconds,
        start_s=starts,
        start_up_s={name: took for crew in reversed(crews) for name, took in crew.start_up_s.items()},
        problems={name: why for crew in crews for name, why in crew.problems.items()},
        wall_s=sum(crew.wall_s for crew in crews),
    )


def speedup(launches: Sequence[Launched], fast: str, slow: str) -> Interval | None:
    """How many times as fast one variant is as another, in the launches that have both: an interval from two on."""
    both = [launch.seconds for launch in launches if launch.seconds.get(fast) and launch.seconds.get(slow)]
    if not both:
        return None
    return ratio(log_ratios([seconds[slow] for seconds in both], [seconds[fast] for seconds in both]))


def log_gain(launches: Sequence[Launched], fast: str, slow: str) -> float | None:
    """The mean logarithm of that."""
    found = speedup(launches, fast, slow)
    return None if found is None else math.log(found.estimate)
