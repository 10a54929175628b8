"""Which knob does it: from the default to the tuned variant one knob at a time, and the tuned one without each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backends.task import Variant
from bench.stats import Interval
from bench.tune.search import Measure, Turned, speedup, variant

#: Launches and rounds of each variant.
LAUNCHES, ROUNDS = 4, 4


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


def explain(default: Variant, knobs: Turned, measure: Measure) -> list[Step]:
    """The steps, in the order of `knobs`.

    Args:
        default: no knob turned.
        knobs: of the tuned variant.
        measure: see `Measure`.
    """
    names = list(knobs)
    path = [{name: knobs[name] for name in names[:count]} for count in range(len(names) + 1)]
    without = [{name: knobs[name] for name in names if name != left_out} for left_out in names]
    times = measure(_variants(default, [*path, *without]), LAUNCHES, ROUNDS)

    def faster(fast: Turned, slow: Turned) -> Interval | None:
        return speedup(times, variant(default, fast).name, variant(default, slow).name)

    return [
        Step(name, knobs[name], faster(path[at + 1], {}), faster(path[at + 1], path[at]), faster(knobs, without[at]))
        for at, name in enumerate(names)
    ]


def _variants(default: Variant, several: Sequence[Turned]) -> list[Variant]:
    """Each once, the default first."""
    return list(dict.fromkeys(variant(default, knobs) for knobs in several))
