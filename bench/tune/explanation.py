"""The explanation of a tuned variant: what each of its knobs contributes, and when a longer start-up is amortised."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backends.task import Variant
from bench.analysis.break_even import BreakEven, compute_break_even
from bench.analysis.statistics import Interval
from bench.records.record import MeasurementWarning
from bench.tune.crew_launch import LaunchResult, VariantMeasurer, compute_speedup, count_launches
from bench.tune.knob_settings import DEFAULT, KnobSettings, remove_knob
from bench.tune.launch_warnings import sum_up_launches
from bench.tune.search import build_variant

#: Launches, and rounds of each variant in a launch.
LAUNCHES, ROUNDS = 4, 4
#: What to do if workers died, so that fewer launches are left.
ADVICE = "run the command again"
#: The knob that decides whether something is compiled.
COMPILING_KNOB = "execution"


@dataclass(frozen=True)
class KnobEffect:
    """The speed-ups of one knob, when the knobs are set one after the other. None if a worker died.

    Attributes:
        over_default: of this knob and those before it, over the default.
        over_previous: of this knob and those before it, over those before it.
        over_without: of the tuned variant over the tuned variant without this knob.
    """

    knob: str
    value: str
    over_default: Interval | None
    over_previous: Interval | None
    over_without: Interval | None


@dataclass(frozen=True)
class StartUpComparison:
    """When the longer start-up of one variant is amortised by its faster steps, compared with another variant.

    Attributes:
        label: the two variants, for people.
        speedup: of a step of the first variant over one of the second; None if a worker died.
        first_start: when the compiler has kept nothing yet, from the first launch; None if a worker died.
        later_starts: when the compiler finds on disk what it kept, from the other launches; None if a worker died.
    """

    label: str
    speedup: Interval | None
    first_start: BreakEven | None
    later_starts: BreakEven | None


@dataclass(frozen=True)
class Explanation:
    """The effects of the knobs in the order in which they are set, when their start-up is amortised, and warnings."""

    effects: tuple[KnobEffect, ...]
    start_ups: tuple[StartUpComparison, ...]
    warnings: tuple[MeasurementWarning, ...] = ()


def explain(
    default: Variant,
    knobs: KnobSettings,
    measure: VariantMeasurer,
    on_launch: Callable[[int, LaunchResult], object] = lambda number, launched: None,
) -> Explanation:
    """Measure the tuned variant, what lies between it and the default, and its ablations.

    Args:
        default: no knob set.
        knobs: those of the tuned variant.
        measure: must start one worker after the other: workers that start at the same time slow each other down.
        on_launch: is called after each launch with its number, from 1 on, and its result.
    """
    names = list(knobs)
    path = [{name: knobs[name] for name in names[:count]} for count in range(len(names) + 1)]
    ablations = {name: remove_knob(knobs, name) for name in names}
    variants = list(dict.fromkeys(build_variant(default, settings) for settings in (*path, *ablations.values())))
    launches = []
    for number in range(1, LAUNCHES + 1):
        launches.append(measure(variants, ROUNDS))
        on_launch(number, launches[-1])

    def speedup(fast: KnobSettings, slow: KnobSettings) -> Interval | None:
        return compute_speedup(launches, build_variant(default, fast).name, build_variant(default, slow).name)

    def compare(label: str, other: KnobSettings) -> StartUpComparison:
        return _compare_start_up(
            label, launches, build_variant(default, knobs).name, build_variant(default, other).name
        )

    effects = [
        KnobEffect(
            knob=name,
            value=knobs[name],
            over_default=speedup(path[count], DEFAULT),
            over_previous=speedup(path[count], path[count - 1]),
            over_without=speedup(knobs, ablations[name]),
        )
        for count, name in enumerate(names, start=1)
    ]
    start_ups = [compare("tuned / default", DEFAULT)]
    if COMPILING_KNOB in knobs and len(names) > 1:
        start_ups.append(compare(f"tuned / without {knobs[COMPILING_KNOB]}", ablations[COMPILING_KNOB]))
    fewest = min(count_launches(launches, variant.name, default.name) for variant in variants)
    return Explanation(tuple(effects), tuple(start_ups), sum_up_launches(launches, fewest, ADVICE))


def _compare_start_up(label: str, launches: Sequence[LaunchResult], tuned: str, other: str) -> StartUpComparison:
    both = [launch for launch in launches if _ran(launch, tuned) and _ran(launch, other)]
    speedup = compute_speedup(launches, tuned, other)

    def find_break_even(some: Sequence[LaunchResult]) -> BreakEven | None:
        longer_start_s = [launch.start_up_s[tuned] - launch.start_up_s[other] for launch in some]
        shorter_step_s = [_median_step_s(launch, other) - _median_step_s(launch, tuned) for launch in some]
        return compute_break_even(longer_start_s, shorter_step_s) if some else None

    return StartUpComparison(label, speedup, find_break_even(both[:1]), find_break_even(both[1:]))


def _median_step_s(launch: LaunchResult, name: str) -> float:
    """Seconds of a step in the median round."""
    return statistics.median(launch.seconds[name])


def _ran(launch: LaunchResult, name: str) -> bool:
    return name in launch.start_up_s and name in launch.seconds
