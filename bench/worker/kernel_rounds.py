"""The machine's rates as a framework's own kernels reach them: rounds of a kernel, and each convolution alone."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

from backends.base import Backend, Training
from backends.kernels import Convolutions
from bench.worker.job import Job
from bench.worker.kernels import RATES
from bench.worker.step_work import Step, shape

#: Blocks in which a single convolution is timed, each of about so many seconds.
BLOCKS = 5
BLOCK_SECONDS = 0.01


class Repeated(Training):
    """A kernel, again and again."""

    def __init__(self, run: Callable[[int], object]) -> None:
        self.run: Callable[[int], object] | None = run

    def advance(self, steps: int) -> float:
        """Run it `steps` times. There is no loss.

        Raises:
            StopIteration: it was closed.
        """
        if self.run is None:
            raise StopIteration
        self.run(steps)
        return 0.0

    def close(self) -> None:
        """Let go of its arrays."""
        self.run = None


def start(kind: str, backend: Backend, job: Job) -> Training:
    """The kernel of a kind of rounds."""
    return Repeated(backend.kernel(RATES[kind].kernel(job.task, job.variant), job.variant))


def layers(backend: Backend, job: Job) -> dict[str, float]:
    """Seconds of each pass of each convolution, alone and again and again, so that caches hold what they can.

    Those of one shape are measured once, under the first one's name.
    """
    found = {}
    step = Step(job.task, job.variant)
    for layer, what in {shape(*call): call for call in reversed(step.calls)}.values():
        run = backend.kernel(Convolutions(((step.executed(layer), what),), job.task.batch_size), job.variant)
        found[f"{layer.name} {what}"] = _seconds(run)
    return found


def _seconds(run: Callable[[int], object]) -> float:
    """The median block's, for one run."""
    run(2)
    once = _took(run, 1)
    times = max(1, round(BLOCK_SECONDS / max(once, 1e-9)))
    return median(_took(run, times) / times for _ in range(BLOCKS))


def _took(run: Callable[[int], object], times: int) -> float:
    began = time.perf_counter()
    run(times)
    return time.perf_counter() - began
