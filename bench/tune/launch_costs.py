"""The costs of launches: predicted from the start-up and step times that were measured so far."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence

from bench.tune.crew_launch import CREW_SIZE, LaunchResult, compute_gain
from bench.tune.knob_settings import DEFAULT, KnobSettings, SettingsKey, as_key

#: A launch's time in rounds over that of its timed steps: there are also untimed steps, hand-overs of the baton, and
#: the start of an input pipeline before the first round.
ROUND_OVERHEAD = 1.2
#: How much longer than the default's the second start of a variant takes, as a share of how much longer its first start
#: took: part of what was compiled is found on disk. It is an assumption, used until the variant has started twice.
LATER_START_SHARE = 0.7


class LaunchCosts:
    """Start-up times and gains of variants, by their knob settings.

    A gain is the natural logarithm of a speed-up over the default. A variant that was not measured is predicted from
    its knobs: what each knob adds to the start-up time of the starting point is added up, and so are the knobs' gains.

    Attributes:
        starting_point: the settings that are changed one knob at a time; at first the default.
    """

    def __init__(self, round_seconds: float) -> None:
        self.round_seconds = round_seconds
        self.starting_point: KnobSettings = DEFAULT
        self._start_s: dict[SettingsKey, float] = {}
        self._starts: Counter[SettingsKey] = Counter()
        self._gains: dict[SettingsKey, float] = {(): 0.0}

    def update(self, launched: LaunchResult, settings: Mapping[str, KnobSettings]) -> None:
        """Take over the figures of the newest launch.

        Args:
            launched: the launch.
            settings: by name of a variant, its knobs; the first variant's, whose gain is known, are among them.
        """
        first = launched.names[0]
        for name, knobs in settings.items():
            if name in launched.start_s:
                self._start_s[as_key(knobs)] = launched.start_s[name]
                self._starts[as_key(knobs)] += 1
            gain = compute_gain([launched], name, first)
            if gain is not None:
                self._gains[as_key(knobs)] = gain + self.predict_gain(settings[first])

    def predict_start(self, knobs: KnobSettings) -> float:
        """Seconds that the next start takes."""
        if as_key(knobs) in self._start_s:
            return min(self._start_s[as_key(knobs)], self._predict_later_start(knobs))
        base = self._start_s.get(as_key(self.starting_point), self._start_s.get((), 0.0))
        return base + sum(max(0.0, self._start_s.get(one, base) - base) for one in self._list_changes(knobs))

    def find_measured_gain(self, knobs: KnobSettings) -> float | None:
        """The gain, if it was measured."""
        return self._gains.get(as_key(knobs))

    def predict_gain(self, knobs: KnobSettings) -> float:
        """The gain: measured, or else predicted."""
        measured = self.find_measured_gain(knobs)
        if measured is not None:
            return measured
        base = self._gains.get(as_key(self.starting_point), 0.0)
        return base + sum(self._gains.get(one, base) - base for one in self._list_changes(knobs))

    def predict_launch(self, others: Sequence[KnobSettings], rounds: int, first: KnobSettings = DEFAULT) -> float:
        """Seconds that a launch takes.

        Args:
            others: all variants of the launch but the first one.
            rounds: of each variant.
            first: what the others are compared with, which each crew runs again.
        """
        crews = max(1, math.ceil(len(others) / (CREW_SIZE - 1)))
        workers = [*([first] * crews), *others]
        highest = max(self.predict_gain(knobs) for knobs in workers)
        a_round = sum(math.exp(highest - self.predict_gain(knobs)) for knobs in workers) * self.round_seconds
        return sum(self.predict_start(knobs) for knobs in workers) + rounds * a_round * ROUND_OVERHEAD

    def _list_changes(self, knobs: KnobSettings) -> list[SettingsKey]:
        """The starting point with one changed knob each, for every knob that is set to another value there."""
        return [
            as_key({**self.starting_point, knob: value})
            for knob, value in knobs.items()
            if self.starting_point.get(knob) != value
        ]

    def _predict_later_start(self, knobs: KnobSettings) -> float:
        """Seconds of a start that is not the variant's first one."""
        start_s, default_s = self._start_s[as_key(knobs)], self._start_s.get((), 0.0)
        if self._starts[as_key(knobs)] > 1:
            return start_s
        return default_s + LATER_START_SHARE * max(0.0, start_s - default_s)
