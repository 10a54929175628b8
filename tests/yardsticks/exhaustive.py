"""All combinations of some knobs against what `bench tune` finds in its default budget: is there a faster one?"""

from __future__ import annotations

import itertools
import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from safetensors.numpy import load_file

from backends.knobs import KNOBS, get_default
from backends.starting_points import STARTING_POINTS
from backends.task import Task, Variant
from bench.analysis.statistics import log_ratios
from bench.data.dataset import Dataset
from bench.machine.environment import count_usable_cores
from bench.measure.conductor import LaunchLimits
from bench.plan import variants
from bench.plan.prepared_task import PreparedTask
from bench.tune.crew_launch import CREW_SIZE, CrewMeasurer, LaunchResult, compute_gain
from bench.tune.crew_workers import CrewWorkers
from bench.tune.search import TrialResult, build_variant, search
from bench.tune.tuning import MAX_PARALLEL_BUILDS, list_values_to_search
from bench.weights import checkpoints
from tests.yardsticks import case
from tests.yardsticks.measuring_phase import Silent

#: A batch size at which knobs matter more than the fixed cost of a step.
TASK = Task.model_validate({**case.TASK.model_dump(), "batch_size": 128})
#: Combinations of these are tried, all of them; the search has all knobs to choose from.
SUBSET = ("execution", "precision", "layout", "folding", "images", "steps_per_execution")
BUDGET = 300.0
#: Seconds after which no further crew of combinations is started; the number of missed ones is shown.
MOST_SECONDS = 1500.0
ROUNDS = 3
#: What is slower than so many times the default's step is not the fastest.
SLOWEST = 1.5
#: Of the fastest combinations, how many are measured again beside what was tuned, and in how many launches.
FINALISTS, LAUNCHES, LAST_ROUNDS = 4, 4, 6


def compare(backend: str, data: Path, say: Callable[[str], object]) -> list[float]:
    """y of what was tuned over the fastest combination, one a launch; above 0 what was tuned is the faster."""
    prepared, default = _prepared(data), Variant(threads=count_usable_cores())
    values = list_values_to_search(backend, default, prepared)
    workers = CrewWorkers(
        backend,
        prepared,
        Silent(),
        LaunchLimits(min(MAX_PARALLEL_BUILDS, count_usable_cores() or 1), max_slowdown=SLOWEST * 2),
    )
    began = time.monotonic()
    found = search(
        default,
        values,
        CrewMeasurer(workers.launch).measure,
        lambda trial: say(f"{trial.stage}: {trial.name} {_format_trial(trial)}"),
        BUDGET,
        lambda knobs: variants.explain_unsupported(backend, build_variant(default, knobs), prepared.task) is None,
        STARTING_POINTS.get(backend, ()),
    )
    tuned = build_variant(default, found.knobs)
    say(f"{backend}: tuned is {tuned.name}, after {time.monotonic() - began:.0f} s")

    workers.limits = LaunchLimits(workers.limits.parallel_builds, max_slowdown=SLOWEST)
    everything = list(_combinations(backend, default, prepared))
    random.Random(0).shuffle(everything)  # where there is no time for all, those that are missed are of no kind
    gains = _gains(workers, default, everything, say)
    fastest = sorted(gains, key=lambda one: -gains[one])[:FINALISTS]
    names = ", ".join(one.name for one in fastest)
    say(f"{backend}: {len(gains)} of {len(everything)} combinations ran, the fastest: {names}")

    workers.limits = LaunchLimits(workers.limits.parallel_builds)
    last = [one for one in dict.fromkeys([tuned, *fastest]) if one != default]
    launches = [CrewMeasurer(workers.launch).measure([default, *last], LAST_ROUNDS) for _ in range(LAUNCHES)]
    best = max([default, *last], key=lambda one: _gain(launches, one, default))
    say(f"{backend}: the best of all is {best.name}")
    seconds = [launch.seconds for launch in launches if {tuned.name, best.name} <= launch.seconds.keys()]
    return log_ratios([one[best.name] for one in seconds], [one[tuned.name] for one in seconds])


def _format_trial(trial: TrialResult) -> str:
    return f"{trial.speedup.estimate:.3f}" if trial.speedup else trial.problem or "did not run"


def _gain(launches: Sequence[LaunchResult], one: Variant, default: Variant) -> float:
    gain = compute_gain(launches, one.name, default.name)
    return -math.inf if gain is None else gain


def _gains(
    workers: CrewWorkers, default: Variant, everything: Sequence[Variant], say: Callable[[str], object]
) -> dict[Variant, float]:
    """The logarithm of how many times as fast as the default, of each combination that there was time for."""
    gains: dict[Variant, float] = {}
    began = time.monotonic()
    for at in range(0, len(everything), CREW_SIZE - 1):
        crew = everything[at : at + CREW_SIZE - 1]
        spent = time.monotonic() - began
        if spent > MOST_SECONDS:
            say(f"no time for {len(everything) - at} combinations")
            break
        launched = workers.launch([default, *crew], ROUNDS, False, math.inf)
        for one in crew:
            gain = compute_gain([launched], one.name, default.name)
            if gain is not None:
                gains[one] = gain
        say(f"{at + len(crew)} of {len(everything)} combinations, {time.monotonic() - began:.0f} s")
    return gains


def _combinations(backend: str, default: Variant, prepared: PreparedTask) -> Iterator[Variant]:
    choices = [[(knob, value) for value in KNOBS[knob].values[backend]] for knob in SUBSET]
    for chosen in itertools.product(*choices):
        settings = {knob: value for knob, value in chosen if value != get_default(backend, knob)}
        made = build_variant(default, settings)
        if settings and variants.explain_unsupported(backend, made, prepared.task) is None:
            yield made


def _prepared(data: Path) -> PreparedTask:
    arrays = load_file(data)
    dataset = Dataset(TASK.dataset, **arrays, source="random")
    return PreparedTask(TASK, ("batch_size",), dataset, checkpoints.obtain(TASK, progress=False), False)
