"""The rates of every case's own framework and its training steps, in workers that take turns."""

from __future__ import annotations

import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backends.task import Variant
from bench.measure import conductor, record_builder
from bench.measure.conductor import Watcher
from bench.measure.probe_job import job
from bench.measure.run import write_images
from bench.plan.knob_support import bf16_missing
from bench.plan.request import Plan, Prepared
from bench.worker.job import Job
from bench.worker.kernels import LAYERS, RATES

#: Rounds of training steps, in the order in which a worker measures them.
STEPS = ("pipeline", "compute", "loader")
#: All kinds of rounds.
KINDS = (*STEPS, *RATES)


@dataclass
class Measured:
    """What was seen of one case.

    Attributes:
        resolved: what its variant became.
        seconds: of one step, or one run of a kernel, by kind of round, launch and round.
        layers: seconds of each pass of each convolution alone, by `name pass`, one shape once, by launch.
        failure: why a worker of it died.
    """

    backend: str
    variant: Variant
    resolved: Mapping[str, object] = field(default_factory=dict)
    seconds: dict[str, list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    layers: list[Mapping[str, float]] = field(default_factory=list)
    failure: str | None = None


def kinds(variant: Variant) -> tuple[str, ...]:
    """The rounds of a case. On cached features there are no convolutions, and no input pipeline to leave out.

    Products are measured in fp32, or in tf32 where the variant turns the one into the other, in bf16 where the device
    computes in it, and in the variant's precision.
    """
    single = "tf32" if variant.precision == "tf32" else "fp32"
    half = ("bf16",) if bf16_missing(variant.device) is None else ()
    gemms = {f"gemm {precision}" for precision in (single, *half, variant.precision)}
    rates = [kind for kind in RATES if kind in gemms or not kind.startswith("gemm")]
    if variant.features == "cached":
        return ("pipeline", *(kind for kind in rates if kind != "convolutions"))
    return (*STEPS, *rates, LAYERS)


def measure(
    chosen: Plan, prepared: Prepared, watcher: Watcher, begins: Callable[[int, Sequence[Job]], object]
) -> list[Measured]:
    """All cases of a task, in as many launches and rounds as the plan's suite says.

    Args:
        begins: told of each launch and its jobs.
    """
    found = [Measured(backend, variant) for backend, variant in chosen.cases(prepared)]
    draw = random.Random()
    for launch in range(1, chosen.suite.launches + 1):
        with tempfile.TemporaryDirectory(prefix="head-to-head-") as name:
            jobs = _jobs(chosen, prepared, found, Path(name))
            begins(launch, jobs)
            # Kinds are measured in the order of the first job: the one that has most has them all.
            crew = sorted(jobs, key=lambda one: -len(one.kinds))
            done = conductor.launch(crew, chosen.suite.round_seconds, draw, watcher, reverse_start=launch % 2 == 0)
            outcomes = {outcome.job.case: outcome for outcome in done.outcomes}
            for one, its_job in zip(found, jobs, strict=True):
                _add(one, outcomes[its_job.case])
    return found


def _jobs(chosen: Plan, prepared: Prepared, found: Sequence[Measured], folder: Path) -> list[Job]:
    data = write_images(prepared.dataset, folder)
    return [
        job(
            prepared,
            one.backend,
            one.variant,
            data,
            folder,
            rounds=chosen.suite.rounds,
            kinds=kinds(one.variant),
            cache_limit=chosen.cache_limit,
        )
        for one in found
    ]


def _add(measured: Measured, outcome: conductor.Outcome[Job]) -> None:
    if outcome.failure:
        measured.failure = outcome.failure.reason
        return
    measured.resolved = outcome.said["built"]["resolved"]
    for kind, seconds in record_builder.step_seconds(outcome).items():
        measured.seconds[kind].append(list(seconds))
    if LAYERS in outcome.said:
        measured.layers.append(outcome.said[LAYERS]["seconds"])
