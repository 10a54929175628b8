"""Rounds of a framework's own kernels, which measure the machine's rates, and the time of each single convolution."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from backends.base import Backend, Training
from backends.kernels import Convolutions
from bench.worker.job import Job
from bench.worker.kernels import RATES
from bench.worker.part_report import PartReport, Sender
from bench.worker.step_work import Step, describe_shape

#: Number of blocks in which a single convolution is timed, and their approximate seconds.
BLOCKS = 5
BLOCK_SECONDS = 0.01


class RepeatedKernel(Training):
    """A kernel that is run repeatedly, in the form of a training."""

    def __init__(self, run: Callable[[int], object]) -> None:
        self.run: Callable[[int], object] | None = run

    def advance(self, steps: int) -> float:
        """Run the kernel `steps` times. There is no loss: returns 0.

        Raises:
            StopIteration: it was closed.
        """
        if self.run is None:
            raise StopIteration
        self.run(steps)
        return 0.0

    def close(self) -> None:
        """Release the kernel's arrays."""
        self.run = None


def start_kernel(kind: str, backend: Backend, job: Job) -> Training:
    """Start the kernel of a kind of rounds."""
    return RepeatedKernel(backend.kernel(RATES[kind].kernel(job.task, job.variant), job.variant))


def time_convolutions(backend: Backend, job: Job, sender: Sender) -> dict[str, float]:
    """Time each pass of each convolution separately, by "layer pass" in seconds; it is repeated, so caches are warm.

    Convolutions of the same shape are measured once, under the name of the first one. Progress is sent.
    """
    found: dict[str, float] = {}
    step = Step(job.task, job.variant)
    calls = {describe_shape(*call): call for call in reversed(step.calls)}.values()
    report = PartReport(sender, len(calls), "convolutions")
    for layer, what in calls:
        report(len(found))
        run = backend.kernel(Convolutions(((step.get_executed_layer(layer), what),), job.task.batch_size), job.variant)
        found[f"{layer.name} {what}"] = _measure_run_seconds(run)
    return found


def _measure_run_seconds(run: Callable[[int], object]) -> float:
    """Measure the seconds of one run: the median over the blocks."""
    run(2)
    once = _time_runs(run, 1)
    times = max(1, round(BLOCK_SECONDS / max(once, 1e-9)))
    return median(_time_runs(run, times) / times for _ in range(BLOCKS))


def _time_runs(run: Callable[[int], object], times: int) -> float:
    began = time.perf_counter()
    run(times)
    return time.perf_counter() - began
