"""The search: from a starting point, one knob at a time, then together, by successive halving over interleaved rounds,
within a budget.

It begins with combinations that were the fastest on other machines, and goes on from the fastest of them here, or from
the default. Of that each knob is turned alone: a backend has hundreds of combinations, each start of a worker takes
seconds, and most knobs act by themselves. What helps is then turned together; beside it run the combinations that
differ in one respect, the slower half is dropped after each stage, and the rest gets another launch with more rounds
(successive halving: Jamieson & Talwalkar, "Non-stochastic Best Arm Identification", AISTATS 2016). At last the fastest
is measured in several launches against the default, against itself without all the knobs that are in doubt, and without
each of its knobs: what makes no difference beyond the interval goes back to its default.

What is left of the budget decides how many are tried and how often, and the last stage has the first claim. Only what
launches told is asked, no clock: the same launches lead to the same end, which lets an interrupted search go on.

Optuna's samplers and pruners are not used: they ask for one trial after the other and compare figures that were taken
at different times, where this machine drifts; here variants are started together and rounds interleave.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from backends.knobs import KNOBS
from backends.task import Variant
from bench.analysis.statistics import Interval, scaled
from bench.plan.variants import named
from bench.tune.candidates import Gains, Possible, changes, helpful, merged, together
from bench.tune.crew_launch import CREW, NOT_TRIED, Launched, Measure, log_gain, speedup
from bench.tune.launch_costs import Costs, Turned, key, without
from bench.tune.needed_knobs import in_doubt, leanest

DEFAULT: Turned = MappingProxyType({})
#: Rounds of the first stages, each halving doubles them; and of the last stage.
ROUNDS, LAST_ROUNDS = 4, 4
ROUND_SECONDS = 0.3
#: Combinations that are tried together.
MOST = CREW - 1
#: Launches of the last stage: with fewer an interval says nothing, and more are seldom worth their time. At the 2 %
#: that ratios of two variants differ by from launch to launch, an interval reaches 5 % to either side after three
#: launches and 2 % after six: rather fewer variants are measured than with too little to see what each knob brings.
LEAST_LAUNCHES, ENOUGH_LAUNCHES, MOST_LAUNCHES = 3, 6, 8
#: Of the budget, what the starting points may take, what all may until each knob was turned alone, and what is left to
#: the last stage and the proof.
POINTS_SHARE, ALONE_SHARE, LAST_SHARE = 0.2, 0.4, 0.4
#: What the proof costs: so many times the starts of the default and of what is proven, which are not built side by
#: side, and some seconds of steps.
PROOF_STARTS, PROOF_SECONDS = 1.5, 10.0


@dataclass(frozen=True)
class Trial:
    """One variant in one stage, against the default in the same rounds; no speed-up where its worker died."""

    stage: str
    name: str
    speedup: Interval | None
    problem: str | None = None


@dataclass(frozen=True)
class Found:
    """The knobs to turn, how much faster they make a step than the default does, and what was left open."""

    knobs: Turned
    speedup: Interval | None
    notes: tuple[str, ...] = ()


def variant(default: Variant, knobs: Turned) -> Variant:
    """The default with some knobs turned, named after their values in the order of the table of knobs."""
    ordered = {knob: knobs[knob] for knob in KNOBS if knob in knobs}
    return Variant.model_validate({**default.model_dump(), **ordered, "name": named(ordered) or "default"})


def search(
    default: Variant,
    values: Mapping[str, Sequence[str]],
    measure: Measure,
    tell: Callable[[Trial], None],
    budget: float = math.inf,
    possible: Possible = lambda knobs: True,
    points: Sequence[Turned] = (),
) -> Found:
    """The fastest combination of knobs that is certainly faster than the default.

    Args:
        default: no knob turned.
        values: by knob, the values beside the default's that the backend has here; dear ones had better come last.
        measure: see there.
        tell: told of each trial.
        budget: seconds for all launches and for the proof of what is found.
        possible: whether the backend can run these knobs together.
        points: combinations to begin with, as far as `values` has what they turn.
    """
    stages = _Stages(default, measure, tell, budget, possible)
    start = stages.begun(_usable(points, values, possible))
    alone = stages.alone(start, changes(start, values, possible))
    best = helpful(start, alone, possible)
    if not best:
        return Found({}, None, tuple(stages.notes))
    return stages.decided(stages.halved(best, start, alone), alone)


def _usable(points: Sequence[Turned], values: Mapping[str, Sequence[str]], possible: Possible) -> list[Turned]:
    """Each without what the backend cannot turn here, and each once."""
    stripped = ({knob: value for knob, value in point.items() if value in values.get(knob, ())} for point in points)
    return list({key(knobs): knobs for knobs in stripped if knobs and possible(knobs)}.values())


class _Stages:
    """The measuring of a search."""

    def __init__(
        self,
        default: Variant,
        measure: Measure,
        tell: Callable[[Trial], None],
        budget: float,
        possible: Possible,
    ) -> None:
        self.default, self.measure, self.tell, self.budget = default, measure, tell, budget
        self.possible = possible
        self.costs, self.spent = Costs(ROUND_SECONDS), 0.0
        self.notes: list[str] = []

    def begun(self, points: Sequence[Turned]) -> Turned:
        """The fastest of `points`, from which the search goes on; the default where none is faster."""
        if not points:
            return {}
        launched = self._launch(points[:MOST], ROUNDS, self._until(POINTS_SHARE))
        gains = self._told("starting point", points[:MOST], [launched])
        self._note_missed([name for name, problem in launched.problems.items() if problem == NOT_TRIED])
        best, gain = max(gains, key=lambda pair: pair[1], default=({}, 0.0))
        self.costs.base = best if gain > 0 else {}
        return self.costs.base

    def alone(self, start: Turned, singles: Sequence[Turned]) -> Gains:
        """Each in place of what `start` has, beside it, crew by crew, until its share of the budget is spent; by knob,
        what it gains there, the fastest first.
        """
        of_start = self.costs.gain(start)
        known = [(one, self.costs.measured({**start, **one})) for one in singles]
        gains = [(one, gain - of_start) for one, gain in known if gain is not None]
        rest = [one for one, gain in known if gain is None]
        missed: list[str] = []
        for at in range(0, len(rest), CREW - 1):
            crew = rest[at : at + CREW - 1]
            rounds = len(crew) * ROUNDS * ROUND_SECONDS
            left = self._until(ALONE_SHARE) - self.costs.launch([], ROUNDS, start) - rounds
            if left <= 0 and at:
                missed += [named(one) for one in crew]
                continue
            whole = [{**start, **one} for one in crew]
            launched = self._launch(whole, ROUNDS, max(left, 0.01), start)
            gain_of = {key(knobs): gain for knobs, gain in self._told("one knob", whole, [launched], start)}
            for one, knobs in zip(crew, whole, strict=True):
                if key(knobs) in gain_of:
                    gains.append((one, gain_of[key(knobs)]))
                elif launched.problems.get(self._name(knobs)) == NOT_TRIED:
                    missed.append(named(one))
        self._note_missed(missed)
        return sorted(gains, key=lambda pair: -pair[1])

    def halved(self, best: Turned, start: Turned, alone: Gains) -> Turned:
        """The fastest of `best` and what is near to it."""
        alive = together(best, start, alone, self.possible)[:MOST]
        while len(alive) > 1 and self.costs.launch(alive, ROUNDS) > self._before_last(alive):
            alive.pop()
        if len(alive) < 2:
            if len(best) > 1:
                self.notes.append("no time was left to try other combinations: a larger --budget tries them")
            return best
        launches = [self._launch(alive, ROUNDS)]
        ranked = self._ranked("together", alive, launches)
        rounds, extra = ROUNDS, merged(best, ranked)
        while True:
            alive = [knobs for knobs, _ in ranked][: math.ceil(len(ranked) / 2)]
            if extra is not None and self.possible(extra) and key(extra) not in map(key, alive):
                alive.append(extra)
            rounds = 2 * rounds
            if len(alive) < 2 or self.costs.launch(alive, rounds) > self._before_last(alive):
                return _untried(extra, alive) or (alive[0] if alive else best)
            extra = None
            launches.append(self._launch(alive, rounds))
            ranked = self._ranked("together", alive, launches)
            if len(ranked) < 2 or len(alive) == 2:
                return ranked[0][0] if ranked else best

    def decided(self, best: Turned, alone: Gains) -> Found:
        """`best` or less of it, as several launches show."""
        best = self._affordable(best)
        if not best:
            return Found({}, None, tuple(self.notes))
        kept, gain, left_open = best, None, tuple(best)
        variants = in_doubt(best, alone, self.costs)
        while launches := self._last(best, variants):
            if self._speedup(launches, best, {}) is None:
                self.notes.append(f"{self._name(best)} did not run again: {launches[-1].problems[self._name(best)]}")
                return Found({}, None, tuple(self.notes))
            variants = [knobs for knobs in variants if self._enough(launches, knobs)]
            for stage, knobs in (("the fastest", best), *(("less", one) for one in variants)):
                self._told(stage, [knobs], launches)
            decision = leanest(best, kept, variants, partial(self._speedup, launches))
            if gain is None:
                left_open = decision.open
            if gain is None or decision.kept != kept:
                kept, gain = decision.kept, self._speedup(launches, decision.kept, {})
            variants = list(decision.further)
            if not variants:
                break
            if not self._fitting(best, variants, LEAST_LAUNCHES):
                self.notes.append("too little time to see whether more than one knob can go: turned as measured")
                break
        if names := [*(best[knob] for knob in left_open if knob in kept)]:
            self.notes.append(f"too little time to see what is lost without {', '.join(names)}: turned as measured")
        return Found(kept if _faster(gain) else {}, gain, tuple(self.notes))

    def _affordable(self, best: Turned) -> Turned:
        """`best`, or what is left of it that there is time to decide on: knobs that are dear to start go first."""
        wanted = best
        while best and self._fitting(best, (), LEAST_LAUNCHES) is None:
            best = without(best, max(best, key=lambda knob: self.costs.start({knob: best[knob]})))
        if best != wanted:
            claim = LEAST_LAUNCHES * self.costs.launch([wanted], LAST_ROUNDS) + self._aside(wanted)
            needed = max(self.spent + claim, claim / LAST_SHARE)
            self.notes.append(f"too little time to decide on {self._name(wanted)}: use a --budget of {needed:.0f}s")
        return best

    def _last(self, best: Turned, variants: Sequence[Turned]) -> list[Launched]:
        """Launches of `best` and of as many of `variants` as there is time for, some after the others where it has to
        be, and at least the first; none where there is too little. What time is left narrows the intervals.
        """
        launches: list[Launched] = []
        batch: list[Turned] = []
        rest = list(variants)
        while rest or not launches:
            fitting = self._fitting(best, rest, LEAST_LAUNCHES)
            if fitting is None or (launches and not fitting):
                break
            number = ENOUGH_LAUNCHES if (self._fitting(best, rest, ENOUGH_LAUNCHES) or 0) else LEAST_LAUNCHES
            fitting = self._fitting(best, rest, number) or 0
            batch, rest = rest[:fitting], rest[fitting:]
            for missing in range(number, 0, -1):  # dearer than foretold: less is measured
                batch = batch[: self._fitting(best, batch, missing) or 0]
                launches.append(self._launch([best, *batch], LAST_ROUNDS))
        while launches and len(launches) < MOST_LAUNCHES and self._fitting(best, batch, 1) == len(batch):
            launches.append(self._launch([best, *batch], LAST_ROUNDS))
        return launches

    def _fitting(self, best: Turned, variants: Sequence[Turned], launches: int) -> int | None:
        """How many of `variants` there is time for, beside `best`; None where there is none for `best` itself."""
        left = self._left(best)
        counts = (
            count
            for count in range(len(variants), -1, -1)
            if launches * self.costs.launch([best, *variants[:count]], LAST_ROUNDS) <= left
        )
        return next(counts, None)

    def _launch(
        self, several: Sequence[Turned], rounds: int, start_within: float = math.inf, first: Turned = DEFAULT
    ) -> Launched:
        """All of them beside the first one."""
        whole = [first, *several]
        launched = self.measure([variant(self.default, one) for one in whole], rounds, start_within)
        self.spent += launched.wall_s
        self.costs.learn(launched, {self._name(one): one for one in whole})
        return launched

    def _ranked(self, stage: str, several: Sequence[Turned], launches: Sequence[Launched]) -> Gains:
        return sorted(self._told(stage, several, launches), key=lambda pair: -pair[1])

    def _told(
        self, stage: str, several: Sequence[Turned], launches: Sequence[Launched], first: Turned = DEFAULT
    ) -> Gains:
        """Tell of trials; those that ran, with the logarithm of how many times as fast as the first one they are."""
        gains = []
        for knobs in several:
            name = self._name(knobs)
            over = speedup(launches, name, self._name(first))
            over = over and scaled(over, math.exp(self.costs.gain(first)))
            self.tell(Trial(stage, name, over, launches[-1].problems.get(name)))
            gain = log_gain(launches, name, self._name(first))
            if gain is not None and name in launches[-1].seconds:
                gains.append((knobs, gain))
        return gains

    def _before_last(self, several: Sequence[Turned]) -> float:
        """Seconds that are left until the last stage has to begin, whichever of `several` it will be about."""
        claims = (LEAST_LAUNCHES * self.costs.launch([one], LAST_ROUNDS) + self._aside(one) for one in several)
        return min(self._until(1 - LAST_SHARE), self._until(1.0) - max(claims, default=0.0))

    def _note_missed(self, names: Sequence[str]) -> None:
        if names:
            self.notes.append(f"no time was left to try {', '.join(names)}: a larger --budget tries them")

    def _until(self, share: float) -> float:
        """Seconds that are left until this share of the budget is spent."""
        return self.budget * share - self.spent

    def _left(self, best: Turned) -> float:
        return self.budget - self.spent - self._aside(best)

    def _aside(self, best: Turned) -> float:
        """Seconds that the proof takes: the reference's start and that of `best`, and some steps of each."""
        return PROOF_STARTS * (self.costs.start({}) + self.costs.start(best)) + PROOF_SECONDS

    def _enough(self, launches: Sequence[Launched], knobs: Turned) -> bool:
        return sum(self._name(knobs) in launch.names for launch in launches) >= LEAST_LAUNCHES

    def _speedup(self, launches: Sequence[Launched], fast: Turned, slow: Turned) -> Interval | None:
        return speedup(launches, self._name(fast), self._name(slow))

    def _name(self, knobs: Turned) -> str:
        return variant(self.default, knobs).name


def _untried(extra: Turned | None, alive: Sequence[Turned]) -> Turned | None:
    """The changes that each made the best faster, all at once, where there was no time to try them together: the last
    stage measures them against the best without them.
    """
    return extra if extra is not None and any(key(extra) == key(one) for one in alive) else None


def _faster(speedup: Interval | None) -> bool:
    return speedup is not None and speedup.low is not None and speedup.low > 1
