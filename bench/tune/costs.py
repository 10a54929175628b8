"""What a launch will cost: foretold from what starts and steps have taken so far."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from bench.tune.launched import CREW, Launched, log_gain

Turned = Mapping[str, str]
Key = tuple[tuple[str, str], ...]

#: Rounds also have their untimed steps, a hand-over, and the start of an input pipeline before the first.
ROUND_OVERHEAD = 1.2
#: What a start costs beyond the default's, the second time over the first: assumed, until it was started twice.
AGAIN = 0.6


def key(knobs: Turned) -> Key:
    """Knobs as something to look up by."""
    return tuple(sorted(knobs.items()))


class Costs:
    """Costs of variants, by their knobs; the default has none turned.

    What was not measured yet is foretold from its knobs alone: what each adds to the default's start is added up, and
    what each gains is multiplied.
    """

    def __init__(self, round_seconds: float) -> None:
        self.round_seconds = round_seconds
        self._starts: dict[Key, float] = {}
        self._started: Counter[Key] = Counter()
        self._gains: dict[Key, float] = {(): 0.0}

    def learn(self, launched: Launched, several: Mapping[str, Turned]) -> None:
        """Take the newest figures.

        Args:
            launched: in which they were measured.
            several: the knobs by the variant's name, the default's included.
        """
        default = launched.names[0]
        for name, knobs in several.items():
            if name in launched.start_s:
                self._starts[key(knobs)] = launched.start_s[name]
                self._started[key(knobs)] += 1
            gain = log_gain([launched], name, default)
            if gain is not None:
                self._gains[key(knobs)] = gain

    def start(self, knobs: Turned) -> float:
        """Seconds that a start takes."""
        if key(knobs) in self._starts:
            return min(self._starts[key(knobs)], self._again(knobs))
        default = self._starts.get((), 0.0)
        alone = (self._starts.get((pair,), default) for pair in knobs.items())
        return default + sum(max(0.0, start - default) for start in alone)

    def measured(self, knobs: Turned) -> float | None:
        """What `gain` gives, where it was measured."""
        return self._gains.get(key(knobs))

    def gain(self, knobs: Turned) -> float:
        """The logarithm of how many times as fast as the default's a step is."""
        known = self.measured(knobs)
        return sum(self._gains.get((pair,), 0.0) for pair in knobs.items()) if known is None else known

    def launch(self, several: Sequence[Turned], rounds: int) -> float:
        """Seconds of a launch of the default and several others, crew by crew."""
        crews = max(1, math.ceil(len(several) / (CREW - 1)))
        whole = [*([{}] * crews), *several]
        fastest = max(self.gain(knobs) for knobs in whole)
        a_round = sum(math.exp(fastest - self.gain(knobs)) for knobs in whole) * self.round_seconds
        return sum(self.start(knobs) for knobs in whole) + rounds * a_round * ROUND_OVERHEAD

    def _again(self, knobs: Turned) -> float:
        """Seconds of a start that is not the first of its kind: what was compiled is found on disk, in part."""
        start, default = self._starts[key(knobs)], self._starts.get((), 0.0)
        return start if self._started[key(knobs)] > 1 else default + AGAIN * max(0.0, start - default)
