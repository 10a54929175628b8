"""Which knob does it: from the default to the tuned variant one knob at a time, and the tuned one without each."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from backends.task import Variant
from bench.analysis.break_even import BreakEven, break_even
from bench.analysis.statistics import Interval
from bench.tune.crew_launch import Launched, Measure, speedup
from bench.tune.launch_costs import Turned, without
from bench.tune.search import variant

#: Launches and rounds of each variant.
LAUNCHES, ROUNDS = 4, 4
#: The knob that decides whether something is compiled.
COMPILING = "execution"


@dataclass(frozen=True)
class Step:
    """One knob on the way. Intervals are of 95 %; None where a worker died.

    Attributes:
        so_far: how many times as fast as the default with this knob and those before it.
        by_itself: how many times as fast as with those before it alone.
        without: how many times as fast the tuned variant is as it would be without this knob.
    """

    knob: str
    value: str
    so_far: Interval | None
    by_itself: Interval | None
    without: Interval | None


@dataclass(frozen=True)
class Paid:
    """When a dearer start is paid for.

    Attributes:
        what: in words, which variant against which.
        certain: whether there is a difference in the speed of steps at all.
        first: where the compiler keeps nothing yet, from the first launch.
        again: where it finds what it compiled before, from the other launches.
    """

    what: str
    certain: bool
    first: BreakEven | None
    again: BreakEven | None


@dataclass(frozen=True)
class Explanation:
    """The steps in the order of the knobs, and when what they cost at the start is paid for."""

    steps: tuple[Step, ...]
    paid: tuple[Paid, ...]


def explain(
    default: Variant,
    knobs: Turned,
    measure: Measure,
    tell: Callable[[int, Launched], object] = lambda number, done: None,
) -> Explanation:
    """Measure and compare.

    Args:
        default: no knob turned.
        knobs: of the tuned variant.
        measure: starts one worker after the other, or starts would cost what they do not cost alone.
        tell: told of each launch, by its number from 1 on.
    """
    names = list(knobs)
    path = [{name: knobs[name] for name in names[:count]} for count in range(len(names) + 1)]
    less = {name: without(knobs, name) for name in names}
    variants = _variants(default, [*path, *less.values()])
    launches = []
    for number in range(1, LAUNCHES + 1):
        launches.append(measure(variants, ROUNDS))
        tell(number, launches[-1])

    def faster(fast: Turned, slow: Turned) -> Interval | None:
        return speedup(launches, variant(default, fast).name, variant(default, slow).name)

    def paid(what: str, dear: Turned, cheap: Turned) -> Paid:
        return _paid(what, launches, variant(default, dear).name, variant(default, cheap).name)

    steps = [
        Step(name, knobs[name], faster(path[at + 1], {}), faster(path[at + 1], path[at]), faster(knobs, less[name]))
        for at, name in enumerate(names)
    ]
    costs = [paid("tuned / default", knobs, {})]
    if COMPILING in knobs and len(names) > 1:
        costs.append(paid(f"tuned / without {knobs[COMPILING]}", knobs, less[COMPILING]))
    return Explanation(tuple(steps), tuple(costs))


def _paid(what: str, launches: Sequence[Launched], dear: str, cheap: str) -> Paid:
    whole = [launch for launch in launches if _has(launch, dear) and _has(launch, cheap)]
    found = speedup(launches, dear, cheap)

    def of(some: Sequence[Launched]) -> BreakEven | None:
        starts = [launch.start_up_s[dear] - launch.start_up_s[cheap] for launch in some]
        quicker = [_step(launch, cheap) - _step(launch, dear) for launch in some]
        return break_even(starts, quicker) if some else None

    return Paid(what, found is not None and found.excludes(1), of(whole[:1]), of(whole[1:]))


def _step(launch: Launched, name: str) -> float:
    """Seconds of the median round's step."""
    return statistics.median(launch.seconds[name])


def _has(launch: Launched, name: str) -> bool:
    return name in launch.start_up_s and name in launch.seconds


def _variants(default: Variant, several: Sequence[Mapping[str, str]]) -> list[Variant]:
    """Each once, the default first."""
    return list(dict.fromkeys(variant(default, knobs) for knobs in several))
