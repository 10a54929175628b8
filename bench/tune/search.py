"""The search: one knob at a time, then together, by successive halving over interleaved rounds.

Knobs are tried alone first: a backend has tens or hundreds of combinations, each start of a worker takes seconds, and
most knobs act by themselves. Those that help are then turned together in the order of what they gain, and where one
hides another, leaving it out of the whole shows it. Of these combinations the slower half is dropped after each stage,
and rounds are added for the rest (successive halving: Jamieson & Talwalkar, "Non-stochastic Best Arm Identification",
AISTATS 2016). At last the fastest is measured against the default, and against itself without each of its knobs, in
several launches: a knob whose interval does not exclude "no difference" goes back to its default.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from backends.task import Variant
from bench.stats import Interval, log_ratios, ratio
from bench.variants import named

#: By a variant's name, seconds a step of each round, by launch; a variant whose worker died is left out.
Times = Mapping[str, Sequence[Sequence[float]]]
#: Measures variants side by side: (variants, launches, rounds a launch).
Measure = Callable[[Sequence[Variant], int, int], Times]
Turned = Mapping[str, str]

#: Rounds of the first two stages; each halving doubles them.
ROUNDS = 4
#: Combinations that are tried together.
MOST = 6
#: Launches of the last two stages, which have intervals.
LAUNCHES = 4


@dataclass(frozen=True)
class Trial:
    """One variant in one stage, against the default in the same rounds; no speed-up where its worker died."""

    stage: str
    name: str
    knobs: Turned
    speedup: Interval | None


@dataclass(frozen=True)
class Found:
    """The knobs to turn, and how much faster they make a step than the default does."""

    knobs: Turned
    speedup: Interval | None


def variant(default: Variant, knobs: Turned) -> Variant:
    """The default with some knobs turned, named after their values."""
    return Variant.model_validate({**default.model_dump(), **knobs, "name": named(knobs) or "default"})


def search(
    default: Variant,
    values: Mapping[str, Sequence[str]],
    measure: Measure,
    tell: Callable[[Trial], None],
    over: Callable[[], bool] = lambda: False,
) -> Found:
    """The fastest combination of knobs that is certainly faster than the default.

    Args:
        default: no knob turned.
        values: by knob, the values beside the default's that the backend has here.
        measure: see `Measure`.
        tell: told of each trial.
        over: whether the time is over: what is left is then halved no further, and decided in the last stages.
    """
    stages = _Stages(default, measure, tell)
    singles = [{knob: value} for knob, several in values.items() for value in several]
    if not singles:
        return Found({}, None)
    alone = stages.run("one knob", singles, 1, ROUNDS)
    helpful = _helpful(alone)
    if not helpful:
        return Found({}, None)
    alive = _together(helpful, alone)
    rounds = ROUNDS
    while len(alive) > 1:
        ranked = stages.run("together", alive, 1, rounds)
        alive = [knobs for knobs, gain in ranked if gain > 0][: max(1, len(alive) // 2)]
        rounds *= 2
        if over():
            break
    if not alive:
        return Found({}, None)
    best = alive[0]
    kept = stages.certain(best) if len(best) > 1 else best
    gain = stages.speedups[_key(best)] if kept == best and len(best) > 1 else stages.against_default(kept)
    return Found(kept, gain) if kept and _faster(gain) else Found({}, gain)


def speedup(times: Times, fast: str, slow: str) -> Interval | None:
    """How many times as fast one variant is as another: an interval from two launches on, None without times."""
    if fast not in times or slow not in times or not times[fast]:
        return None
    launches = min(len(times[fast]), len(times[slow]))
    return ratio(log_ratios(times[slow][:launches], times[fast][:launches]))


class _Stages:
    """The measuring of a search."""

    def __init__(self, default: Variant, measure: Measure, tell: Callable[[Trial], None]) -> None:
        self.default, self.measure, self.tell = default, measure, tell
        self.speedups: dict[tuple[tuple[str, str], ...], Interval] = {}

    def run(self, stage: str, several: Sequence[Turned], launches: int, rounds: int) -> list[tuple[Turned, float]]:
        """Measure beside the default; those that ran, and the log of how much faster, the fastest first."""
        times = self._times(several, launches, rounds)
        gains = []
        for knobs in several:
            gain = speedup(times, variant(self.default, knobs).name, self.default.name)
            self.tell(Trial(stage, variant(self.default, knobs).name, knobs, gain))
            if gain:
                self.speedups[_key(knobs)] = gain
                gains.append((knobs, gain.estimate - 1))
        return sorted(gains, key=lambda pair: -pair[1])

    def certain(self, best: Turned) -> Turned:
        """The knobs of `best` without which it is slower for certain."""
        without = [{name: value for name, value in best.items() if name != knob} for knob in best]
        times = self._times([best, *without], LAUNCHES, ROUNDS)
        name = variant(self.default, best).name
        whole = speedup(times, name, self.default.name)
        self.tell(Trial("the fastest", name, best, whole))
        if whole:
            self.speedups[_key(best)] = whole
        kept = {}
        for (knob, value), rest in zip(best.items(), without, strict=True):
            other = variant(self.default, rest).name
            self.tell(Trial(f"without {value}", other, rest, speedup(times, other, self.default.name)))
            loss = speedup(times, name, other)
            if loss is None or _faster(loss):
                kept[knob] = value
        return kept

    def against_default(self, knobs: Turned) -> Interval | None:
        """How much faster a step is with `knobs`."""
        if not knobs:
            return None
        times = self._times([knobs], LAUNCHES, ROUNDS)
        name = variant(self.default, knobs).name
        gain = speedup(times, name, self.default.name)
        self.tell(Trial("what is kept", name, knobs, gain))
        return gain

    def _times(self, several: Sequence[Turned], launches: int, rounds: int) -> Times:
        return self.measure([self.default, *(variant(self.default, knobs) for knobs in several)], launches, rounds)


def _helpful(ranked: Sequence[tuple[Turned, float]]) -> dict[str, str]:
    """Of each knob the best value that is faster than the default, the largest gain first."""
    found: dict[str, str] = {}
    for knobs, gain in ranked:
        for knob, value in knobs.items():
            if gain > 0:
                found.setdefault(knob, value)
    return found


def _together(helpful: Turned, alone: Sequence[tuple[Turned, float]]) -> list[Turned]:
    """The combinations that are tried: all helpful knobs, the best so many of them, all but one, and all with another
    value of a knob that has several.
    """
    names = list(helpful)

    def several() -> Iterator[Turned]:
        yield dict(helpful)
        for count in range(len(names) - 1, 0, -1):
            yield {name: helpful[name] for name in names[:count]}
        for knobs, _ in alone:
            ((knob, value),) = knobs.items()
            if knob in helpful and value != helpful[knob]:
                yield {**helpful, knob: value}
        for left_out in names:
            yield {name: helpful[name] for name in names if name != left_out}

    unique: dict[tuple[tuple[str, str], ...], Turned] = {_key(knobs): knobs for knobs in several() if knobs}
    return list(unique.values())[:MOST]


def _faster(speedup: Interval | None) -> bool:
    return speedup is not None and speedup.low is not None and speedup.low > 1


def _key(knobs: Turned) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(knobs.items()))
