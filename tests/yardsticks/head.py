"""How many images a second the head is trained on, once their features are there."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis.statistics import throughput
from bench.measure import record_builder
from bench.plan.request import CACHE_LIMIT
from tests.yardsticks import case, measuring_phase
from tests.yardsticks.extent import Extent
from tests.yardsticks.target import Target

IMAGES = 4_000
WANTED = 25_000
KIND = "pipeline"


def targets(extent: Extent) -> Iterator[Target]:
    """All backends in each launch, interleaved."""
    images = case.write_images(extent.folder("images"), IMAGES)
    variant = case.variant(features="cached")
    seconds: dict[str, list[tuple[float, ...]]] = {backend: [] for backend in extent.backends}
    for number in range(extent.launches):
        jobs = [
            case.job(
                backend,
                images,
                extent.rounds,
                variant=variant,
                kinds=(KIND,),
                features=images.parent / f"{backend}.safetensors",
                cache_limit=CACHE_LIMIT,
            )
            for backend in extent.backends
        ]
        done = measuring_phase.launch(jobs, measuring_phase.Silent(), 0.5, reverse_start=bool(number % 2))
        for outcome in done.outcomes:
            seconds[outcome.job.backend].append(record_builder.read_step_seconds(outcome)[KIND])
        extent.say(f"head on cached features, launch {number + 1} of {extent.launches}")
    for backend, launches in seconds.items():
        rate = throughput(case.TASK.batch_size, launches)
        yield Target(f"{backend}: head, images/s at batch {case.TASK.batch_size}", rate, least=WANTED, style=",.0f")
