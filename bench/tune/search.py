"""The search for the fastest knobs: one knob at a time from a starting point, then in combination, within a budget.

1. Starting points: combinations that were the fastest on other machines are compared with the default. The search goes
   on from the fastest of them, or from the default.
2. Single changes: each knob of the starting point is changed alone. A backend has hundreds of combinations, each start
   of a worker takes seconds, and most knobs act independently of each other.
3. Combinations: the knobs that help are set together, and compared with combinations that differ from that one in a
   single knob. After each launch the slower half is dropped, and the rest gets another launch with twice the rounds
   (successive halving: Jamieson & Talwalkar, "Non-stochastic Best Arm Identification", AISTATS 2016).
4. Confirmation: the fastest combination is compared with the default in several launches, and with its ablations:
   itself without all uncertain knobs, and without each of its knobs. A knob that makes no difference beyond the
   interval returns to its default.

What is left of the budget decides how many candidates are tried and how often; the time that the confirmation needs is
reserved first. The search decides from the results of its launches alone and reads no clock: the same results lead to
the same decisions, so that an interrupted search can resume.

Optuna's samplers and pruners are not used: they ask for one trial after the other and compare figures that were taken
at different times, and the machine drifts. Here variants are started together and their rounds interleave.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from backends.knobs import KNOBS
from backends.task import Variant
from bench.analysis.statistics import Interval, scale
from bench.plan.variants import make_name
from bench.tune.candidates import (
    Gains,
    KnobCheck,
    combine_improvements,
    list_combinations,
    list_single_changes,
    merge_improvements,
)
from bench.tune.crew_launch import (
    CREW_SIZE,
    NOT_TRIED,
    ROUND_SECONDS,
    LaunchResult,
    VariantMeasurer,
    compute_gain,
    compute_speedup,
    count_launches,
)
from bench.tune.knob_ablation import decide_kept_knobs, list_ablations
from bench.tune.knob_settings import DEFAULT, KnobSettings, as_key, contains, remove_duplicates, remove_knob
from bench.tune.launch_costs import LaunchCosts
from bench.tune.tune_description import UNCONFIRMED

#: Rounds of a launch before the confirmation, doubled by each halving; and of a launch of the confirmation.
ROUNDS, CONFIRMATION_ROUNDS = 4, 4
#: Combinations that are compared in one launch.
MAX_COMBINATIONS = CREW_SIZE - 1
#: Launches of the confirmation. The ratio of two variants differs by 2 % from launch to launch: after three launches
#: its interval reaches 5 % to either side, after six 2 %. With fewer launches an interval says nothing, and more are
#: seldom worth their time. Six launches of fewer variants are preferred to three of more.
MIN_LAUNCHES, TARGET_LAUNCHES, MAX_LAUNCHES = 3, 6, 8
#: Shares of the budget: what the starting points may take; what these and the single changes may take together; and
#: what is reserved for the confirmation and the proof.
STARTING_POINTS_SHARE, SINGLE_CHANGES_SHARE, CONFIRMATION_SHARE = 0.2, 0.4, 0.4
#: The time of the proof: this many times the start-ups of the default and of the proven variant, which are built one
#: after the other, and this many seconds of steps.
PROOF_STARTS, PROOF_SECONDS = 1.5, 10.0


@dataclass(frozen=True)
class TrialResult:
    """One variant in one stage, with its speed-up over the default; no speed-up if its worker died."""

    stage: str
    name: str
    speedup: Interval | None
    problem: str | None = None


@dataclass(frozen=True)
class SearchResult:
    """The result of a search.

    Attributes:
        knobs: what to set; nothing if no combination is certainly faster than the default.
        speedup: of a training step over the default's.
        notes: what the search left open, for the user.
        launches: how many launches the speed-up comes from; 0 if none was confirmed.
    """

    knobs: KnobSettings
    speedup: Interval | None
    notes: tuple[str, ...] = ()
    launches: int = 0


def build_variant(default: Variant, knobs: KnobSettings) -> Variant:
    """The default with some knobs set. Its name is their values in the order of the table of knobs."""
    ordered = {knob: knobs[knob] for knob in KNOBS if knob in knobs}
    return Variant.model_validate({**default.model_dump(), **ordered, "name": make_name(ordered) or "default"})


def search(
    default: Variant,
    values: Mapping[str, Sequence[str]],
    measure: VariantMeasurer,
    on_trial: Callable[[TrialResult], None],
    budget: float = math.inf,
    compatible: KnobCheck = lambda knobs: True,
    starting_points: Sequence[KnobSettings] = (),
) -> SearchResult:
    """Find the fastest combination of knobs that is certainly faster than the default.

    Args:
        default: no knob set.
        values: by knob, the values beside the default's that the backend has here. Knobs whose values take long to
            start belong at the end, because the time may not suffice for all.
        measure: measures the variants of a launch.
        on_trial: is called with each trial.
        budget: seconds for all launches and for the proof of the result.
        compatible: whether the backend can run these knobs together.
        starting_points: combinations to start from; knobs and values that are not in `values` are left out.
    """
    run = _Search(default, measure, on_trial, budget, compatible)
    start = run.choose_starting_point(_restrict_to_usable(starting_points, values, compatible))
    single_gains = run.measure_single_changes(start, list_single_changes(start, values, compatible))
    best = combine_improvements(start, single_gains, compatible)
    if not best:
        return SearchResult({}, None, tuple(run.notes))
    return run.confirm(run.halve_combinations(best, start, single_gains), single_gains)


def _restrict_to_usable(
    points: Sequence[KnobSettings], values: Mapping[str, Sequence[str]], compatible: KnobCheck
) -> list[KnobSettings]:
    """Each starting point without the values that the backend does not have here, and each once."""
    usable = ({knob: value for knob, value in point.items() if value in values.get(knob, ())} for point in points)
    return remove_duplicates(knobs for knobs in usable if knobs and compatible(knobs))


class _Search:
    """The stages of one search, and what they have spent and learned."""

    def __init__(
        self,
        default: Variant,
        measure: VariantMeasurer,
        on_trial: Callable[[TrialResult], None],
        budget: float,
        compatible: KnobCheck,
    ) -> None:
        self.default, self.measure, self.on_trial, self.budget = default, measure, on_trial, budget
        self.compatible = compatible
        self.costs, self.spent_s = LaunchCosts(ROUND_SECONDS), 0.0
        self.notes: list[str] = []

    def choose_starting_point(self, points: Sequence[KnobSettings]) -> KnobSettings:
        """Measure the starting points and return the fastest; the default if none is faster than it."""
        if not points:
            return {}
        launched = self._launch(points[:MAX_COMBINATIONS], ROUNDS, self._seconds_until(STARTING_POINTS_SHARE))
        gains = self._report_trials("starting point", points[:MAX_COMBINATIONS], [launched])
        untried = [name for name, problem in launched.problems.items() if problem == NOT_TRIED]
        self._note_untried(untried, "starting points", STARTING_POINTS_SHARE)
        best, gain = max(gains, key=lambda pair: pair[1], default=({}, 0.0))
        self.costs.starting_point = best if gain > 0 else {}
        return self.costs.starting_point

    def measure_single_changes(self, start: KnobSettings, changes: Sequence[KnobSettings]) -> Gains:
        """Measure `start` with each change alone, crew by crew, until this stage's share of the budget is spent.

        Returns:
            The changes that were measured with their gains over `start`, the highest first.
        """
        start_gain = self.costs.predict_gain(start)
        known = [(change, self.costs.find_measured_gain({**start, **change})) for change in changes]
        gains = [(change, gain - start_gain) for change, gain in known if gain is not None]
        unknown = [change for change, gain in known if gain is None]
        untried: list[str] = []
        for offset in range(0, len(unknown), CREW_SIZE - 1):
            crew = unknown[offset : offset + CREW_SIZE - 1]
            rounds_s = len(crew) * ROUNDS * ROUND_SECONDS
            left_s = self._seconds_until(SINGLE_CHANGES_SHARE) - self.costs.predict_launch([], ROUNDS, start) - rounds_s
            if left_s <= 0 and offset:
                untried += [make_name(change) for change in crew]
                continue
            changed = [{**start, **change} for change in crew]
            launched = self._launch(changed, ROUNDS, max(left_s, 0.01), start)
            measured = {
                as_key(knobs): gain for knobs, gain in self._report_trials("one knob", changed, [launched], start)
            }
            for change, knobs in zip(crew, changed, strict=True):
                if as_key(knobs) in measured:
                    gains.append((change, measured[as_key(knobs)]))
                elif launched.problems.get(self._name(knobs)) == NOT_TRIED:
                    untried.append(make_name(change))
        self._note_untried(untried, "single knobs", SINGLE_CHANGES_SHARE)
        return sorted(gains, key=lambda pair: -pair[1])

    def halve_combinations(self, best: KnobSettings, start: KnobSettings, single_gains: Gains) -> KnobSettings:
        """Find the fastest of `best` and the combinations near it by successive halving."""
        alive = list_combinations(best, start, single_gains, self.compatible)[:MAX_COMBINATIONS]
        needed_s = left_s = 0.0
        while len(alive) > 1:
            needed_s, left_s = self.costs.predict_launch(alive, ROUNDS), self._seconds_until_confirmation(alive)
            if needed_s <= left_s:
                break
            alive.pop()
        if len(alive) < 2:
            if len(best) > 1 and needed_s > left_s:
                self.notes.append(
                    f"no time left to try other combinations: the next one takes about {needed_s:.0f} s, and "
                    f"{max(0.0, left_s):.0f} s are left before the confirmation and the proof: use a larger --budget"
                )
            return best
        launches = [self._launch(alive, ROUNDS)]
        ranked = self._report_ranked("combination", alive, launches)
        rounds, merged = ROUNDS, merge_improvements(best, ranked)
        while True:
            alive = [knobs for knobs, _ in ranked][: math.ceil(len(ranked) / 2)]
            if merged is not None and self.compatible(merged) and not contains(alive, merged):
                alive.append(merged)
            rounds = 2 * rounds
            if len(alive) < 2 or self.costs.predict_launch(alive, rounds) > self._seconds_until_confirmation(alive):
                if merged is not None and contains(alive, merged):
                    return merged  # not measured yet; the confirmation compares it with fewer of its knobs
                return alive[0] if alive else best
            merged = None
            launches.append(self._launch(alive, rounds))
            ranked = self._report_ranked("combination", alive, launches)
            if len(ranked) < 2 or len(alive) == 2:
                return ranked[0][0] if ranked else best

    def confirm(self, best: KnobSettings, single_gains: Gains) -> SearchResult:
        """Compare `best` with the default and with its ablations, and decide which knobs to keep."""
        best = self._drop_unaffordable_knobs(best)
        if not best:
            return SearchResult({}, None, tuple(self.notes))
        kept, speedup, untested, count = best, None, tuple(best), 0
        ablations = list_ablations(best, single_gains, self.costs)
        while launches := self._launch_confirmation(best, ablations):
            if self._compute_speedup(launches, best, {}) is None:
                self.notes.append(f"{self._name(best)} failed: {launches[-1].problems[self._name(best)]}")
                return SearchResult({}, None, tuple(self.notes))
            ablations = [knobs for knobs in ablations if self._has_enough_launches(launches, knobs)]
            for stage, knobs in (("confirmation", best), *(("ablation", knobs) for knobs in ablations)):
                self._report_trials(stage, [knobs], launches)
            decision = decide_kept_knobs(best, kept, ablations, partial(self._compute_speedup, launches))
            if speedup is None:
                untested = decision.untested
            if speedup is None or decision.kept != kept:
                kept, speedup = decision.kept, self._compute_speedup(launches, decision.kept, {})
                count = count_launches(launches, self._name(kept), self._name({}))
            ablations = list(decision.next_ablations)
            if not ablations:
                break
            if not self._count_affordable(best, ablations, MIN_LAUNCHES):
                self.notes.append("too little time to test the removal of more than one knob: kept as measured")
                break
        if names := [*(best[knob] for knob in untested if knob in kept)]:
            self.notes.append(f"too little time to test the removal of {', '.join(names)}: kept")
        return SearchResult(kept if _is_certainly_faster(speedup) else {}, speedup, tuple(self.notes), count)

    def _drop_unaffordable_knobs(self, best: KnobSettings) -> KnobSettings:
        """`best` with as many knobs as there is time to confirm; knobs with a longer start-up are dropped first."""
        intended = best
        while best and self._count_affordable(best, (), MIN_LAUNCHES) is None:
            best = remove_knob(best, max(best, key=lambda knob: self.costs.predict_start({knob: best[knob]})))
        if best != intended:
            confirmation_s = self._predict_confirmation(intended)
            needed_s = max(self.spent_s + confirmation_s, confirmation_s / CONFIRMATION_SHARE)
            self.notes.append(f"{UNCONFIRMED} {self._name(intended)}: use a --budget of {needed_s:.0f}s")
        return best

    def _launch_confirmation(self, best: KnobSettings, ablations: Sequence[KnobSettings]) -> list[LaunchResult]:
        """Launch `best` with as many of the ablations as there is time for.

        If there is no time for all ablations in the same launches, they are divided into batches. Time that is left in
        the end goes into more launches of the last batch, which narrow the intervals.

        Returns:
            The launches; none if there is too little time for `best` alone.
        """
        launches: list[LaunchResult] = []
        batch: list[KnobSettings] = []
        rest = list(ablations)
        while rest or not launches:
            affordable = self._count_affordable(best, rest, MIN_LAUNCHES)
            if affordable is None or (launches and not affordable):
                break
            number = TARGET_LAUNCHES if self._count_affordable(best, rest, TARGET_LAUNCHES) else MIN_LAUNCHES
            affordable = self._count_affordable(best, rest, number) or 0
            batch, rest = rest[:affordable], rest[affordable:]
            for missing in range(number, 0, -1):
                # A launch may have taken longer than predicted: then the next one has fewer ablations.
                batch = batch[: self._count_affordable(best, batch, missing) or 0]
                launches.append(self._launch([best, *batch], CONFIRMATION_ROUNDS))
        while launches and len(launches) < MAX_LAUNCHES and self._count_affordable(best, batch, 1) == len(batch):
            launches.append(self._launch([best, *batch], CONFIRMATION_ROUNDS))
        return launches

    def _count_affordable(self, best: KnobSettings, ablations: Sequence[KnobSettings], launches: int) -> int | None:
        """How many of the ablations there is time for, in so many launches with `best`; None if not even for `best`."""
        left_s = self.budget - self.spent_s - self._predict_proof(best)
        counts = (
            count
            for count in range(len(ablations), -1, -1)
            if launches * self.costs.predict_launch([best, *ablations[:count]], CONFIRMATION_ROUNDS) <= left_s
        )
        return next(counts, None)

    def _launch(
        self,
        several: Sequence[KnobSettings],
        rounds: int,
        start_within: float = math.inf,
        first: KnobSettings = DEFAULT,
    ) -> LaunchResult:
        """Launch several variants together with the first one."""
        settings = [first, *several]
        launched = self.measure([build_variant(self.default, knobs) for knobs in settings], rounds, start_within)
        self.spent_s += launched.wall_s
        self.costs.update(launched, {self._name(knobs): knobs for knobs in settings})
        return launched

    def _report_ranked(self, stage: str, several: Sequence[KnobSettings], launches: Sequence[LaunchResult]) -> Gains:
        """Report trials, and return their gains, the highest first."""
        return sorted(self._report_trials(stage, several, launches), key=lambda pair: -pair[1])

    def _report_trials(
        self,
        stage: str,
        several: Sequence[KnobSettings],
        launches: Sequence[LaunchResult],
        first: KnobSettings = DEFAULT,
    ) -> Gains:
        """Call `on_trial` with the speed-up of each variant over the default.

        Returns:
            The gains over `first` of the variants that the last launch measured.
        """
        gains = []
        first_speedup = math.exp(self.costs.predict_gain(first))
        for knobs in several:
            name = self._name(knobs)
            speedup = self._compute_speedup(launches, knobs, first)
            problem = launches[-1].problems.get(name)
            self.on_trial(TrialResult(stage, name, speedup and scale(speedup, first_speedup), problem))
            gain = compute_gain(launches, name, self._name(first))
            if gain is not None and name in launches[-1].seconds:
                gains.append((knobs, gain))
        return gains

    def _seconds_until(self, share: float) -> float:
        """Seconds until this share of the budget is spent."""
        return self.budget * share - self.spent_s

    def _seconds_until_confirmation(self, several: Sequence[KnobSettings]) -> float:
        """Seconds until the confirmation must begin to have enough time, if any of `several` can be the best."""
        longest = max(map(self._predict_confirmation, several), default=0.0)
        return min(self._seconds_until(1 - CONFIRMATION_SHARE), self._seconds_until(1.0) - longest)

    def _predict_confirmation(self, best: KnobSettings) -> float:
        """Seconds that the shortest confirmation of `best` takes, without ablations, and the proof."""
        return MIN_LAUNCHES * self.costs.predict_launch([best], CONFIRMATION_ROUNDS) + self._predict_proof(best)

    def _predict_proof(self, best: KnobSettings) -> float:
        """Seconds that the proof takes: the start-ups of the reference and of `best`, and some steps of each."""
        return PROOF_STARTS * (self.costs.predict_start({}) + self.costs.predict_start(best)) + PROOF_SECONDS

    def _note_untried(self, names: Sequence[str], stage: str, share: float) -> None:
        if names:
            self.notes.append(
                f"no time left to try {', '.join(names)}: {stage} start only in the first {share * self.budget:.0f} of "
                f"{self.budget:.0f} s, the rest is for what follows: use a larger --budget"
            )

    def _has_enough_launches(self, launches: Sequence[LaunchResult], knobs: KnobSettings) -> bool:
        return sum(self._name(knobs) in launch.names for launch in launches) >= MIN_LAUNCHES

    def _compute_speedup(
        self, launches: Sequence[LaunchResult], fast: KnobSettings, slow: KnobSettings
    ) -> Interval | None:
        return compute_speedup(launches, self._name(fast), self._name(slow))

    def _name(self, knobs: KnobSettings) -> str:
        return build_variant(self.default, knobs).name


def _is_certainly_faster(speedup: Interval | None) -> bool:
    return speedup is not None and speedup.low is not None and speedup.low > 1
