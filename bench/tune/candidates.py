"""The candidates of a search: which combinations of knobs to try, from what each knob brings alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.tune.knob_settings import KnobSettings, as_key, remove_duplicates, remove_knob

#: A gain that a single launch can show by chance: two starts of the same process differ by 2 to 4 %.
NOISE_GAIN = 0.04
#: A value with a lower gain alone is not combined with others.
MIN_GAIN_TO_COMBINE = math.log(0.6)

#: Settings, each with its gain: the natural logarithm of a speed-up over the default, or over the starting point.
Gains = Sequence[tuple[KnobSettings, float]]

#: Whether knobs can be set together; some contradict each other.
KnobCheck = Callable[[KnobSettings], bool]


def list_single_changes(
    start: KnobSettings, values: Mapping[str, Sequence[str]], compatible: KnobCheck
) -> list[KnobSettings]:
    """Every other value of every knob that can be set together with the rest of `start`, one knob each."""
    every = ({knob: value} for knob, several in values.items() for value in several if value != start.get(knob))
    return [one for one in every if compatible({**start, **one})]


def combine_improvements(start: KnobSettings, single_gains: Gains, compatible: KnobCheck) -> dict[str, str]:
    """`start` with the best value of each knob whose gain is above the noise.

    Knobs are set in the order of their gains, and a knob that contradicts those before it is left out. If that leaves
    no knob set, any gain above 0 is enough.

    Small gains are not set here: `list_combinations` tries them, all at once and one at a time. Some values spoil what
    another one brings (a library that is slow in bfloat16 spoils bfloat16), which neither of them shows alone.

    Args:
        single_gains: over `start`, of one changed knob each.
    """
    above_noise = _set_gains_above(NOISE_GAIN, start, single_gains, compatible)
    return above_noise or _set_gains_above(0.0, start, single_gains, compatible)


def _set_gains_above(least: float, start: KnobSettings, single_gains: Gains, compatible: KnobCheck) -> dict[str, str]:
    knobs = dict(start)
    changed: set[str] = set()
    for knob, value, gain in _rank_changes(single_gains):
        if gain > least and knob not in changed and compatible({**knobs, knob: value}):
            knobs[knob] = value
            changed.add(knob)
    return knobs


def list_combinations(
    best: KnobSettings, start: KnobSettings, single_gains: Gains, compatible: KnobCheck
) -> list[KnobSettings]:
    """`best`, and combinations that differ from it in one knob, the most promising first.

    After `best` comes the combination of all gains above 0, for several gains below the noise can add up. Then these
    two kinds alternate:

    - One knob has another value, the highest gain first. Some values gain more in combination, even values that are
      slower alone: convolutions in bfloat16 need another layout.
    - One knob is back at its default, the lowest gain first. It may spoil what another one brings.
    """
    gains = {(knob, value): gain for knob, value, gain in _rank_changes(single_gains)}

    def generate() -> Iterator[KnobSettings]:
        yield dict(best)
        yield _set_gains_above(0.0, start, single_gains, compatible)
        changed = [
            {**best, knob: value}
            for (knob, value), gain in gains.items()
            if value != best.get(knob) and gain > MIN_GAIN_TO_COMBINE
        ]
        removed = [remove_knob(best, knob) for knob in reversed(list(best))]
        for pair in itertools.zip_longest(changed, removed):
            yield from (one for one in pair if one is not None)

    return remove_duplicates(knobs for knobs in generate() if knobs and compatible(knobs))


def merge_improvements(best: KnobSettings, tried: Gains) -> dict[str, str] | None:
    """`best` with all the single changes that made it faster; None if there are fewer than two of them.

    A knob is changed once, by the fastest combination that changes it, and at most one knob is removed: if two values
    spoil each other, removing either of them is faster, but removing both is not.

    Args:
        best: its own gain is among `tried`.
        tried: combinations that `list_combinations` made, the fastest first.
    """
    best_gain = next((gain for knobs, gain in tried if as_key(knobs) == as_key(best)), math.inf)
    faster = [knobs for knobs, gain in tried if gain > best_gain]
    merged = dict(best)
    changed: set[str] = set()
    for knobs in faster:
        for knob in {**best, **knobs}:
            if knobs.get(knob) != best.get(knob) and knob not in changed:
                if knob in knobs:
                    merged[knob] = knobs[knob]
                elif merged.keys() >= best.keys():
                    del merged[knob]
                else:
                    continue
                changed.add(knob)
    return merged if len(changed) > 1 and merged else None


def _rank_changes(single_gains: Gains) -> list[tuple[str, str, float]]:
    """Knob, value and gain, the highest gain first."""
    changes = [(knob, value, gain) for knobs, gain in single_gains for knob, value in knobs.items()]
    return sorted(changes, key=lambda change: -change[2])
