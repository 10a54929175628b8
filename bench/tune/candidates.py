"""Which combinations of knobs are worth trying, from what each change of the starting point did alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

from bench.tune.launch_costs import Turned, key, without

#: The logarithm of a gain that a single launch can show by chance: two starts of the same process differ by 2 to 4 %.
NOISE = 0.04
#: A value that is slower than this alone is not tried with others.
HOPELESS = math.log(0.6)

#: By knobs, the logarithm of how many times as fast they are: as the default, or as the point that they change.
Gains = Sequence[tuple[Turned, float]]


#: Whether knobs can be turned together: some contradict each other.
Possible = Callable[[Turned], bool]


def changes(start: Turned, values: Mapping[str, Sequence[str]], possible: Possible) -> list[Turned]:
    """Every other value of each knob that can be turned beside the rest of `start`, one knob each."""
    every = ({knob: value} for knob, several in values.items() for value in several if value != start.get(knob))
    return [one for one in every if possible({**start, **one})]


def helpful(start: Turned, alone: Gains, possible: Possible) -> dict[str, str]:
    """`start`, and of each knob the best value that makes it faster beyond noise, the largest gain first; what
    contradicts a larger gain is left out. Where nothing is turned then, those that are faster at all.

    What seems a little faster is tried beside the others, all at once and one at a time: some values spoil what another
    one brings (bfloat16 without the library that is fast in it), and nobody knows it from either alone.

    Args:
        alone: one knob of `start` changed each.
    """
    return _above(NOISE, start, alone, possible) or _above(0.0, start, alone, possible)


def _above(least: float, start: Turned, alone: Gains, possible: Possible) -> dict[str, str]:
    found = dict(start)
    changed: set[str] = set()
    for knob, value, gain in _ranked(alone):
        if gain > least and knob not in changed and possible({**found, knob: value}):
            found[knob] = value
            changed.add(knob)
    return found


def together(best: Turned, start: Turned, alone: Gains, possible: Possible) -> list[Turned]:
    """`best`, and what differs from it in one respect, the most promising first.

    A knob may have another value, for some gain more in company; one that was slower alone may be turned after all
    (convolutions in bfloat16 want another layout). By turns with these, the largest gain first, each of the knobs is
    left out, the smallest gain first: it may spoil what another one brings.
    """
    gains = {(knob, value): gain for knob, value, gain in _ranked(alone)}

    def several() -> Iterator[Turned]:
        yield dict(best)
        yield _above(0.0, start, alone, possible)  # several gains that each are no more than noise
        other = [{**best, k: v} for (k, v), gain in gains.items() if v != best.get(k) and gain > HOPELESS]
        less = [without(best, knob) for knob in reversed(list(best))]
        for pair in itertools.zip_longest(other, less):
            yield from (one for one in pair if one is not None)

    unique = {key(knobs): knobs for knobs in several() if knobs and possible(knobs)}
    return list(unique.values())


def merged(best: Turned, tried: Gains) -> dict[str, str] | None:
    """`best` with all the changes at once that made it faster for themselves; None where there are less than two.

    Of two values that spoil each other each seems better left out: only the better one is.

    Args:
        best: with its own gain among `tried`.
        tried: as `together` made them.
    """
    of_best = next((gain for knobs, gain in tried if key(knobs) == key(best)), math.inf)
    better = [knobs for knobs, gain in tried if gain > of_best]
    made = dict(best)
    changed: set[str] = set()
    for knobs in better:  # the fastest first: of two values of one knob the better one stays
        for knob in {**best, **knobs}:
            if knobs.get(knob) != best.get(knob) and knob not in changed:
                if knob in knobs:
                    made[knob] = knobs[knob]
                elif made.keys() >= best.keys():
                    del made[knob]
                else:
                    continue
                changed.add(knob)
    return made if len(changed) > 1 and made else None


def _ranked(alone: Gains) -> list[tuple[str, str, float]]:
    found = [(knob, value, gain) for knobs, gain in alone for knob, value in knobs.items()]
    return sorted(found, key=lambda one: -one[2])
