"""Which combinations of knobs are worth trying, from what each knob did alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

from bench.tune.costs import Turned, key

#: The logarithm of a gain that a single launch can show by chance: two starts of the same process differ by 2 to 4 %.
NOISE = 0.04
#: A value that is slower than this alone is not tried with others.
HOPELESS = math.log(0.6)

#: By knobs, the logarithm of how many times as fast as the default they are.
Gains = Sequence[tuple[Turned, float]]


#: Whether knobs can be turned together: some contradict each other.
Possible = Callable[[Turned], bool]


def helpful(alone: Gains, possible: Possible) -> dict[str, str]:
    """Of each knob the best value that is faster than the default, the largest gain first; what contradicts a larger
    gain is left out.

    Args:
        alone: one knob each.
    """
    found: dict[str, str] = {}
    for knob, value, gain in _ranked(alone):
        if gain > 0 and knob not in found and possible({**found, knob: value}):
            found[knob] = value
    return found


def together(best: Turned, alone: Gains, possible: Possible) -> list[Turned]:
    """`best`, and what differs from it in one respect, the most promising first.

    A knob may have another value, for some gain more in company; one that was slower alone may be turned after all
    (convolutions in bfloat16 want another layout); those that gained no more than noise may be left out.
    """
    gains = {(knob, value): gain for knob, value, gain in _ranked(alone)}

    def several() -> Iterator[Turned]:
        yield dict(best)
        for (knob, value), gain in gains.items():
            if value != best.get(knob) and gain > HOPELESS:
                yield {**best, knob: value}
        for left_out in reversed(list(best)):
            yield {knob: value for knob, value in best.items() if knob != left_out}
        yield {knob: value for knob, value in best.items() if gains[knob, value] > NOISE}

    unique = {key(knobs): knobs for knobs in several() if knobs and possible(knobs)}
    return list(unique.values())


def merged(best: Turned, tried: Gains) -> dict[str, str] | None:
    """`best` with all the changes at once that made it faster for themselves; None where there are less than two.

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
                changed.add(knob)
                if knob in knobs:
                    made[knob] = knobs[knob]
                else:
                    del made[knob]
    return made if len(changed) > 1 and made else None


def _ranked(alone: Gains) -> list[tuple[str, str, float]]:
    found = [(knob, value, gain) for knobs, gain in alone for knob, value in knobs.items()]
    return sorted(found, key=lambda one: -one[2])
