"""Ablation of the fastest combination: which of its knobs make a difference."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.analysis.statistics import Interval
from bench.tune.candidates import NOISE_GAIN, Gains
from bench.tune.knob_settings import KnobSettings, as_key, contains, remove_duplicates, remove_knob
from bench.tune.launch_costs import LaunchCosts

#: The speed-up of the first settings over the second ones; None if they were never measured together.
SpeedupFunction = Callable[[KnobSettings, KnobSettings], Interval | None]


@dataclass(frozen=True)
class AblationDecision:
    """What to keep, and what to measure next.

    Attributes:
        kept: of the measured combinations that are not certainly slower than the fastest, the one with fewest knobs.
        next_ablations: `kept` with still fewer knobs: each of these knobs made no difference when it was removed alone,
            but perhaps they do the same thing and one of them is needed.
        untested: knobs of `kept` that were not removed in any measured combination.
    """

    kept: KnobSettings
    next_ablations: tuple[KnobSettings, ...]
    untested: tuple[str, ...]


def list_ablations(best: KnobSettings, single_gains: Gains, costs: LaunchCosts) -> list[KnobSettings]:
    """What to compare `best` with: itself without all uncertain knobs at once, and without each of its knobs.

    A knob is uncertain if its gain is below the noise: its gain in combination if that was measured, otherwise its gain
    alone. The knobs with the lowest gains come first, because the time may not suffice for all; knobs of the starting
    point whose gain was never measured come last.
    """
    if len(best) < 2:
        return []
    alone = {(knob, value): gain for knobs, gain in single_gains for knob, value in knobs.items()}
    gains = {}
    for knob, value in best.items():
        with_knob = costs.find_measured_gain(best)
        without_knob = costs.find_measured_gain(remove_knob(best, knob))
        if with_knob is None or without_knob is None:
            gains[knob] = alone.get((knob, value), math.inf)
        else:
            gains[knob] = with_knob - without_knob
    certain = {knob: value for knob, value in best.items() if gains[knob] > NOISE_GAIN}
    several = remove_duplicates([certain, *(remove_knob(best, knob) for knob in sorted(best, key=gains.__getitem__))])
    return [knobs for knobs in several if as_key(knobs) != as_key(best)]


def decide_kept_knobs(
    fastest: KnobSettings, candidate: KnobSettings, ablations: Sequence[KnobSettings], speedup: SpeedupFunction
) -> AblationDecision:
    """Decide from launches of the fastest combination and of its ablations.

    Args:
        fastest: what an ablation must not be slower than.
        candidate: what is kept if no ablation is; at first the fastest combination.
        ablations: `candidate` without some of its knobs.
        speedup: in these launches.
    """

    def is_slower(knobs: KnobSettings) -> bool:
        interval = speedup(fastest, knobs)
        return interval is None or interval.low is None or interval.low > 1

    sufficient = [knobs for knobs in ablations if not is_slower(knobs)]
    fewest = min(map(len, sufficient), default=0)
    kept = max(
        (knobs for knobs in sufficient if len(knobs) == fewest),
        key=lambda knobs: _get_estimate(speedup(knobs, fastest)),
        default=candidate,
    )
    dispensable = [knob for knob in candidate if knob in kept and contains(sufficient, remove_knob(candidate, knob))]
    without_all = {knob: value for knob, value in kept.items() if knob not in dispensable}
    further = remove_duplicates(
        [without_all, *(remove_knob(kept, knob) for knob in dispensable)] if dispensable else []
    )
    return AblationDecision(
        kept=kept,
        next_ablations=tuple(further),
        untested=tuple(
            knob for knob in kept if len(candidate) > 1 and not contains(ablations, remove_knob(candidate, knob))
        ),
    )


def _get_estimate(speedup: Interval | None) -> float:
    return speedup.estimate if speedup else 1.0
