"""What a launch will cost: foretold from what starts and steps have taken so far."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from bench.tune.crew_launch import CREW, Launched, log_gain

Turned = Mapping[str, str]
Key = tuple[tuple[str, str], ...]

#: Rounds also have their untimed steps, a hand-over, and the start of an input pipeline before the first.
ROUND_OVERHEAD = 1.2
#: What a start costs beyond the default's, the second time over the first: assumed, until it was started twice.
AGAIN = 0.7


def key(knobs: Turned) -> Key:
    """Knobs as something to look up by."""
    return tuple(sorted(knobs.items()))


def without(knobs: Turned, knob: str) -> dict[str, str]:
    """All but one."""
    return {name: value for name, value in knobs.items() if name != knob}


class Costs:
    """Costs of variants, by their knobs; the default has none turned.

    What was not measured yet is foretold from its knobs alone: what each adds to the start of the starting point is
    added up, and what each gains is multiplied.

    Attributes:
        base: the starting point, whose knobs are changed one at a time; at first the default.
    """

    def __init__(self, round_seconds: float) -> None:
        self.round_seconds = round_seconds
        self.base: Turned = {}
        self._starts: dict[Key, float] = {}
        self._started: Counter[Key] = Counter()
        self._gains: dict[Key, float] = {(): 0.0}

    def learn(self, launched: Launched, several: Mapping[str, Turned]) -> None:
        """Take the newest figures.

        Args:
            launched: in which they were measured.
            several: the knobs by the variant's name, those of the first one included, whose gain is known.
        """
        first = launched.names[0]
        for name, knobs in several.items():
            if name in launched.start_s:
                self._starts[key(knobs)] = launched.start_s[name]
                self._started[key(knobs)] += 1
            gain = log_gain([launched], name, first)
            if gain is not None:
                self._gains[key(knobs)] = gain + self.gain(several[first])

    def start(self, knobs: Turned) -> float:
        """Seconds that a start takes."""
        if key(knobs) in self._starts:
            return min(self._starts[key(knobs)], self._again(knobs))
        base = self._starts.get(key(self.base), self._starts.get((), 0.0))
        return base + sum(max(0.0, self._starts.get(one, base) - base) for one in self._changes(knobs))

    def measured(self, knobs: Turned) -> float | None:
        """What `gain` gives, where it was measured."""
        return self._gains.get(key(knobs))

    def gain(self, knobs: Turned) -> float:
        """The logarithm of how many times as fast as the default's a step is."""
        known = self.measured(knobs)
        if known is not None:
            return known
        base = self._gains.get(key(self.base), 0.0)
        return base + sum(self._gains.get(one, base) - base for one in self._changes(knobs))

    def launch(self, several: Sequence[Turned], rounds: int, first: Turned = MappingProxyType({})) -> float:
        """Seconds of a launch of the first one, the default if none is named, and several others, crew by crew."""
        crews = max(1, math.ceil(len(several) / (CREW - 1)))
        whole = [*([first] * crews), *several]
        fastest = max(self.gain(knobs) for knobs in whole)
        a_round = sum(math.exp(fastest - self.gain(knobs)) for knobs in whole) * self.round_seconds
        return sum(self.start(knobs) for knobs in whole) + rounds * a_round * ROUND_OVERHEAD

    def _changes(self, knobs: Turned) -> list[Key]:
        """The starting point with each of the knobs by itself that it has not, or has otherwise."""
        return [key({**self.base, knob: value}) for knob, value in knobs.items() if self.base.get(knob) != value]

    def _again(self, knobs: Turned) -> float:
        """Seconds of a start that is not the first of its kind: what was compiled is found on disk, in part."""
        start, default = self._starts[key(knobs)], self._starts.get((), 0.0)
        return start if self._started[key(knobs)] > 1 else default + AGAIN * max(0.0, start - default)
