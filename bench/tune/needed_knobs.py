"""Which knobs of the fastest combination make a difference."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.analysis.statistics import Interval
from bench.tune.candidates import NOISE, Gains
from bench.tune.launch_costs import Costs, Turned, key, without

#: How many times as fast one combination is as another.
Speedup = Callable[[Turned, Turned], Interval | None]


@dataclass(frozen=True)
class Decision:
    """What to keep.

    Attributes:
        kept: the leanest of the combinations that were measured and are not certainly slower than the fastest.
        further: still leaner ones, to be measured next: knobs went that each made no difference, but perhaps each does
            what the other did.
        open: knobs of `kept` that nobody has left out.
    """

    kept: Turned
    further: tuple[Turned, ...]
    open: tuple[str, ...]


def in_doubt(best: Turned, alone: Gains, costs: Costs) -> list[Turned]:
    """What to measure `best` against: itself without all the knobs in doubt at once, and without each of its knobs.

    A knob is in doubt that gains no more than noise, beside the others where that was measured, or else alone. The most
    doubtful comes first, for there may be no time for all; last, what came with the starting point and nobody left out.
    """
    if len(best) < 2:
        return []
    gained = {(knob, value): gain for knobs, gain in alone for knob, value in knobs.items()}
    gains = {}
    for knob, value in best.items():
        whole, rest = costs.measured(best), costs.measured(without(best, knob))
        gains[knob] = gained.get((knob, value), math.inf) if whole is None or rest is None else whole - rest
    lean = {knob: value for knob, value in best.items() if gains[knob] > NOISE}
    several = [lean, *(without(best, knob) for knob in sorted(best, key=gains.__getitem__))]
    unique = {key(knobs): knobs for knobs in several if knobs and key(knobs) != key(best)}
    return list(unique.values())


def leanest(fastest: Turned, before: Turned, variants: Sequence[Turned], speedup: Speedup) -> Decision:
    """The decision, from launches of the fastest combination and of leaner ones.

    Args:
        fastest: what the others must not be slower than.
        before: what was to be kept until now: at first the fastest itself.
        variants: `before` without some of its knobs.
        speedup: in these launches.
    """

    def slower(knobs: Turned) -> bool:
        found = speedup(fastest, knobs)
        return found is None or found.low is None or found.low > 1

    enough = [knobs for knobs in variants if not slower(knobs)]
    fewest = min(map(len, enough), default=0)
    kept = max((k for k in enough if len(k) == fewest), key=lambda k: _estimate(speedup(k, fastest)), default=before)
    spared = [knob for knob in before if _among(without(before, knob), enough)]
    left = [knob for knob in spared if knob in kept]
    at_once = {knob: value for knob, value in kept.items() if knob not in left}
    further = {key(one): one for one in (at_once, *(without(kept, knob) for knob in left)) if one and left}
    return Decision(
        kept=kept,
        further=tuple(further.values()),
        open=tuple(knob for knob in kept if len(before) > 1 and not _among(without(before, knob), variants)),
    )


def _among(knobs: Turned, several: Sequence[Turned]) -> bool:
    return any(key(knobs) == key(one) for one in several)


def _estimate(found: Interval | None) -> float:
    return found.estimate if found else 1.0
