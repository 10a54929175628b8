"""The tuned variant against the fastest loop that could be written by hand in its framework, round by round."""

from __future__ import annotations

import math
from collections.abc import Iterator

from backends.task import Variant
from bench.analysis.statistics import log_ratios
from bench.plan.prepared_task import PreparedTask
from bench.report.live.silent_progress import SilentProgress
from bench.tune.crew_launch import CrewMeasurer
from bench.tune.crew_workers import CrewWorkers
from tests.yardsticks import case, variants
from tests.yardsticks.extent import Extent
from tests.yardsticks.partner import Partner
from tests.yardsticks.script_in_worker import SECOND
from tests.yardsticks.target import Target, of_ratios


def targets(extent: Extent) -> Iterator[Target]:
    """Ours against the hand-written loops."""
    prepared = case.prepared(variants.TASK, extent.data)
    for backend in extent.backends:
        ours = tuned(backend, prepared, extent)
        ys = []
        for number in range(extent.launches):
            ys.append(launch(backend, ours, extent, number))
            extent.say(f"{backend} {ours.name} / by hand, launch {number + 1}: {math.exp(ys[-1]):.3f}")
        yield of_ratios(f"{backend}: tuned / by hand", ys, least=0.97, note=ours.name)


def tuned(backend: str, prepared: PreparedTask, extent: Extent) -> Variant:
    """The fastest candidate, what `bench tune` kept here among them."""
    measure = CrewMeasurer(CrewWorkers(backend, prepared, SilentProgress(extent.say)).launch).measure
    found = list(variants.fastest(backend, measure, extent).values())
    return found[-1] if found else case.variant()


def launch(backend: str, ours: Variant, extent: Extent, number: int) -> float:
    """The `number`-th launch: y, the median over rounds of ln(throughput of ours / by hand). 0 is no difference."""
    name = f"{backend}{SECOND if number % 2 else ''}"
    job = case.job(backend, extent.data, extent.rounds, variants.TASK, ours, case=name)
    with Partner(job, "tests.yardsticks.fastest_in_worker") as worker:
        message = worker.wait_for("compared")
    return log_ratios([message["script"]], [message["ours"]])[0]
