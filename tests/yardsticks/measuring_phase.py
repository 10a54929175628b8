"""A real launch of all backends, watched: how much of it lies inside rounds, and who uses the CPU meanwhile."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from bench.measure import conductor
from bench.measure.launch_outcome import LaunchOutcome
from bench.worker.channel import Message
from bench.worker.job import Job
from tests.bench.processes import arguments_of
from tests.yardsticks import case


class LaunchFailed(Exception):
    """A worker died; the message says of what."""


class Silent:
    """A `bench.measure.conductor.Watcher` that does nothing: what is measured is not disturbed."""

    def on_event(self, case: str, message: Message) -> None:
        """See `Watcher.on_event`."""

    def on_round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """See `Watcher.on_round`."""


class CpuWatch(Silent):
    """Adds up the CPU time of all workers, and their children, while another one holds the baton.

    Between the ends of two rounds, the holder is the case whose round ended last. What a worker does after giving
    the baton back (an input pipeline filling its buffers) is thus counted: it disturbs the next holder.
    """

    def __init__(self, cases: Sequence[str]) -> None:
        self.cases = cases
        self.trees: dict[str, list[psutil.Process]] = {}
        self.used: dict[str, float] = {}
        self.sampled = 0.0
        self.waiting_seconds = dict.fromkeys(cases, 0.0)
        self.wall_seconds = 0.0

    def on_event(self, case: str, message: Message) -> None:
        """Look for new processes where training has started, and start to count anew there."""
        if message["event"] == "ready":
            self.trees = _trees(self.cases)
            self._sample()

    def on_round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """A round is over: whatever the others used meanwhile, they used while waiting."""
        before, began = self.used, self.sampled
        self._sample()
        self.wall_seconds += self.sampled - began
        for other in self.cases:
            if other != case:
                self.waiting_seconds[other] += self.used[other] - before[other]

    def _sample(self) -> None:
        self.used = {case: sum(map(_cpu_seconds, self.trees.get(case, ()))) for case in self.cases}
        self.sampled = time.perf_counter()


def share_in_rounds(data: Path, rounds: int) -> float:
    """One launch: ln of the share of the measuring phase inside rounds, as pytest-benchmark timed them."""
    jobs = [case.job(backend, data, rounds) for backend in case.TOGETHER]
    done = launch(jobs, Silent())
    inside = sum(sum(case.reported_seconds(job)) for job in jobs)
    return math.log(inside / done.measuring_s)


def waiting_cpu(data: Path, rounds: int) -> tuple[float, dict[str, float]]:
    """One launch: CPU of all waiting workers as a share of one core, and each one's part in it."""
    jobs = [case.job(backend, data, rounds) for backend in case.TOGETHER]
    watch = CpuWatch([job.case for job in jobs])
    launch(jobs, watch)
    parts = {job.backend: watch.waiting_seconds[job.case] / watch.wall_seconds for job in jobs}
    return sum(parts.values()), parts


def launch(
    jobs: Sequence[Job],
    watcher: Silent,
    round_seconds: float = case.ROUND_SECONDS,
    reverse_start: bool = False,
) -> LaunchOutcome:
    """A launch of which every worker lives to its end.

    Raises:
        LaunchFailed: one did not.
    """
    done = conductor.run_launch(jobs, round_seconds, random.Random(), watcher, reverse_start)
    for outcome in done.outcomes:
        if outcome.failure:
            lines = "\n".join(outcome.failure.last_lines)
            raise LaunchFailed(f"{outcome.job.case}: {outcome.failure.reason}\n{lines}")
    return done


def _trees(cases: Sequence[str]) -> dict[str, list[psutil.Process]]:
    """The workers that this process has started, with their children, by case."""
    trees = {}
    for child in psutil.Process().children():
        job_file = next((a for a in arguments_of(child) if a.endswith("job.json")), "")
        backend = Path(job_file).parent.name.partition("-")[2]
        for name in cases:
            if backend and name.startswith(f"{backend}-"):
                trees[name] = [child, *child.children(recursive=True)]
    return trees


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return times.user + times.system
