"""The fastest variants of each backend against its default, at a batch where the machine and not Python is the limit.

Which variant is the fastest depends on the machine: candidates are measured first, with what a kept `bench tune` found
among them, and the best one in fp32 and the best one in bf16 then stand for the target.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from backends.knobs import KNOBS
from backends.starting_points import STARTING_POINTS
from backends.task import Variant
from bench.plan import tuned_variants, variants
from bench.report.live.silent_progress import SilentProgress
from bench.tune.crew_launch import CrewMeasurer, VariantMeasurer, compute_speedup
from bench.tune.crew_workers import CrewWorkers
from tests.yardsticks import case
from tests.yardsticks.extent import Extent
from tests.yardsticks.target import Target

BATCH = 128
TASK = case.task(batch_size=BATCH)
#: Rounds of the first look.
LOOK = 6
Knobs = Mapping[str, str]
BEST: Knobs = {"folding": "product", "images": "normalised"}
#: What may be the fastest beside a search's starting points; each in fp32 and in bf16, where a backend has it. On a CPU
#: JAX has no kernel for convolutions of maps that are smaller than their kernel, so that folding=product gains most.
OTHERS: Mapping[str, tuple[Knobs, ...]] = {
    "pytorch": (
        {**BEST, "layout": "nhwc", "execution": "compiled_frozen", "gradients": "closed_form"},
        {**BEST, "layout": "nhwc", "execution": "torchscript"},
        {**BEST, "layout": "nhwc", "execution": "compiled_frozen", "folding": "conv_bn"},
    ),
    "tensorflow": (BEST, {"folding": "product"}, {"folding": "conv_bn"}),
    "keras": (BEST, {"folding": "product"}, {"folding": "conv_bn"}),
    "jax": (
        {**BEST, "execution": "functional"},
        {**BEST, "execution": "compiled_frozen"},
        {**BEST, "execution": "compiled_frozen", "steps_per_execution": "4"},
        {"folding": "product"},
    ),
    "keras-torch": ({"folding": "product"}, {"folding": "conv_bn"}),
    "keras-jax": ({"folding": "product"},),
    "lightning": (
        {**BEST, "layout": "nhwc", "execution": "compiled_frozen", "gradients": "closed_form"},
        {**BEST, "layout": "nhwc", "execution": "torchscript", "gradients": "closed_form"},
    ),
}
#: The least speed-up wanted, by backend and precision; a precision without one is shown without.
WANTED: Mapping[tuple[str, str], float] = {
    ("pytorch", "fp32"): 1.6,
    ("pytorch", "bf16"): 2.5,
    ("tensorflow", "fp32"): 1.3,
    ("tensorflow", "bf16"): 1.3,
    ("keras", "fp32"): 1.3,
    ("keras", "bf16"): 1.3,
}


def targets(extent: Extent) -> Iterator[Target]:
    """The default against the fastest variant in each precision."""
    prepared = case.prepared(TASK, extent.data)
    for backend in extent.backends:
        measure = CrewMeasurer(CrewWorkers(backend, prepared, SilentProgress(extent.say)).launch).measure
        best = fastest(backend, measure, extent)
        names = {precision: one.name for precision, one in best.items()}
        extent.say(f"{backend}: default against {', '.join(names.values())}, {extent.launches} launches")
        launches = [measure([case.variant(), *best.values()], extent.rounds) for _ in range(extent.launches)]
        for precision, name in names.items():
            if gain := compute_speedup(launches, name, "default"):
                title = f"{backend}, batch {BATCH}: tuned in {precision} / default"
                yield Target(title, gain, least=WANTED.get((backend, precision)), note=name)


def fastest(backend: str, measure: VariantMeasurer, extent: Extent) -> dict[str, Variant]:
    """The best candidate by precision, the fastest last, after one launch of all; in a quick run only the first one."""
    by_precision = candidates(backend)
    if extent.quick:
        return {precision: several[0] for precision, several in by_precision.items()}
    extent.say(f"{backend}: one launch of {sum(map(len, by_precision.values()))} candidates")
    everything = [variant for several in by_precision.values() for variant in several]
    launched = measure([case.variant(), *everything], LOOK)
    for name, problem in launched.problems.items():
        extent.say(f"  {name}: {problem}")
    best: dict[str, tuple[float, Variant]] = {}
    for precision, several in by_precision.items():
        gains = {one: gain.estimate for one in several if (gain := compute_speedup([launched], one.name, "default"))}
        for one, gain in gains.items():
            extent.say(f"  {one.name}: {gain:.3f} × the default")
        if gains:
            best[precision] = max(((gain, one) for one, gain in gains.items()), key=lambda pair: pair[0])
    return {precision: one for precision, (_, one) in sorted(best.items(), key=lambda item: item[1][0])}


def candidates(backend: str) -> dict[str, list[Variant]]:
    """By precision, what may be the fastest and can be run here; nothing of a backend that has no entry."""
    found = {}
    for precision in ("fp32", "bf16"):
        every = (*_tuned(backend), *STARTING_POINTS.get(backend, ()), *OTHERS.get(backend, ()))
        settings = [_in(precision, knobs) for knobs in every]
        several = dict.fromkeys(case.variant(**knobs) for knobs in settings)
        usable = [one for one in several if variants.explain_unsupported(backend, one, TASK) is None]
        if usable:
            found[precision] = usable
    return found


def _in(precision: str, knobs: Knobs) -> dict[str, str]:
    whole = {**knobs, "precision": precision}
    return {knob: whole[knob] for knob in KNOBS if knob in whole and (knob, whole[knob]) != ("precision", "fp32")}


def _tuned(backend: str) -> Sequence[Knobs]:
    """What `bench tune` found here for this task, with all images or with the standard suite's share of them."""
    tasks = (TASK, case.task(batch_size=BATCH, train_limit=10_000))
    default = case.variant()
    return [
        found.knobs for task in tasks if (found := tuned_variants.load(backend, task.hash, default)) and found.knobs
    ]
