"""The findings of the self-test: does the harness measure planted effects correctly, and no effect where there is none?

Every check uses real workers of a real backend. A plant is a known effect that is planted in a worker, see
`bench.worker.planted_fault`.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from backends.task import Variant
from bench import data
from bench.analysis.statistics import log_ratios, ratio_interval
from bench.data.subset import limit_training_images
from bench.errors import UserError
from bench.machine.environment import choose_threads
from bench.machine.system_reading import try_read
from bench.measure import conductor, record_builder
from bench.measure.case_job import write_images
from bench.measure.scratch_folder import make_scratch_folder
from bench.plan.prepared_task import override_task
from bench.records.record import Rounds
from bench.records.units import MB
from bench.weights import checkpoints
from bench.worker.channel import Message
from bench.worker.job import Job
from bench.worker.planted_fault import PlantedFault

#: The default task is changed so that its images and weights need no download.
TASK_OVERRIDES = {"weights": "random", "dataset": "digits"}
LAUNCHES = 5
PLANT_LAUNCHES = 5
ROUNDS = 8
ROUND_SECONDS = 0.5
PLANTED_WAIT = 0.005
PLANTED_MEMORY = 50 * MB
#: Confidence of the intervals: there are two, and a healthy machine fails fewer than one self-test in fifty.
CONFIDENCE = 0.99
#: The largest acceptable interval between two ticks of the clock, in seconds: a step takes a thousand times as long.
COARSEST_TICK = 1e-6


@dataclass(frozen=True)
class Finding:
    """The result of one check: the measured figure, the requirement, and whether it is met."""

    name: str
    measured: str
    required: str
    passed: bool


@dataclass
class RoundListener:
    """A `Watcher` of the conductor that collects the order and rates of rounds, and the CPU time of waiting workers."""

    say: Callable[[str], object]
    order: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    rates: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    waiting_cpu: float = 0.0
    waited: float = 0.0
    _previous: tuple[float, dict[int, float]] | None = None

    def on_event(self, case: str, message: Message) -> None:
        """See `Watcher.on_event`."""
        if message["event"] == "phase":
            self.say(f"  {case}: {message['name']}")
            self._previous = None

    def on_round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """See `Watcher.on_round`."""
        self.order.setdefault((kind, number), []).append(case)
        self.rates.setdefault((kind, case), []).append(images_per_second)
        self._add_waiting_cpu(case)

    def _add_waiting_cpu(self, case: str) -> None:
        """Add the CPU time that the workers without the baton used since the last round ended."""
        now: tuple[float, dict[int, float]] = (time.perf_counter(), {})
        worked: set[int] = set()
        for process in try_read(lambda: psutil.Process().children()) or []:
            try:
                times, line = process.cpu_times(), process.cmdline()
            except psutil.Error:
                continue
            now[1][process.pid] = times.user + times.system
            if any(f"/{case}/job.json" in part for part in line):
                worked.add(process.pid)
        if self._previous is not None and worked:
            start, before = self._previous
            self.waited += now[0] - start
            self.waiting_cpu += sum(
                used - before[pid] for pid, used in now[1].items() if pid in before and pid not in worked
            )
        self._previous = now


def run_checks(backend: str, say: Callable[[str], object]) -> Iterator[Finding]:
    """Run all checks, and yield each finding as soon as it is there; takes about five minutes on two cores.

    Args:
        backend: the backend whose workers are used.
        say: called with each line of progress.

    Raises:
        UserError: a worker died.
    """
    yield _check_clock()
    ys, first, overheads, waiting, waited = [], [], [], 0.0, 0.0
    for number in range(1, LAUNCHES + 1):
        say(f"one case twice, launch {number} of {LAUNCHES}")
        listener = RoundListener(say)
        rounds = _launch_cases(backend, {"a": None, "b": None}, number, listener)
        a, b = (np.array(rounds[case].rounds.seconds) for case in ("a", "b"))
        ys += log_ratios([a.tolist()], [b.tolist()])
        ahead = np.array([listener.order["pipeline", n + 1][0] == "a" for n in range(len(a))])
        logs = np.log(a / b)
        first.append(float(np.median(logs[ahead]) - np.median(logs[~ahead])) / 2)
        for case in ("a", "b"):
            measured = rounds[case].rounds
            in_table = measured.images / statistics.median(measured.seconds)
            overheads.append(in_table / statistics.median(listener.rates["pipeline", case]) - 1)
        waiting, waited = waiting + listener.waiting_cpu, waited + listener.waited
    yield _check_ratio("one case twice: ratio of the two", ys)
    yield _check_ratio("the case that comes first against the second", first)
    yield Finding(
        "throughput in the table against samples over wall time",
        f"{statistics.median(overheads):+.2%}",
        "within 0.5 %",
        abs(statistics.median(overheads)) <= 0.005,
    )
    share = waiting / waited
    yield Finding("CPU of waiting workers, of one core", f"{share:.2%}", "below 1 %", share < 0.01)

    yield from _check_plants(backend, say)


def _check_plants(backend: str, say: Callable[[str], object]) -> Iterator[Finding]:
    """Check that a planted wait and planted memory are measured, by the median over launches.

    Between two processes, a peak of memory can differ by several MB without any plant.
    """
    plants = {"waits": PlantedFault(wait_s=PLANTED_WAIT), "plain": None, "holds": PlantedFault(memory=PLANTED_MEMORY)}
    steps: list[float] = []
    more: list[float] = []
    for number in range(1, PLANT_LAUNCHES + 1):
        say(f"plants, launch {number} of {PLANT_LAUNCHES}")
        planted = _launch_cases(backend, plants, number, RoundListener(say))
        waits, before, during = planted["waits"].rounds, planted["plain"].peak, planted["holds"].peak
        steps.append(statistics.median(waits.seconds) / waits.steps)
        if before is not None and during is not None:
            more.append((during - before) / MB)
    step = statistics.median(steps)
    yield Finding(
        f"a planted wait of {PLANTED_WAIT * 1000:g} ms a step",
        f"{step * 1000:.3f} ms",
        "within 2 %",
        abs(step / PLANTED_WAIT - 1) <= 0.02,
    )
    if not more:
        yield Finding("a planted 50 MB in training", "not available on this system", "within 5 MB", False)
        return
    found = statistics.median(more)
    yield Finding(
        f"a planted {PLANTED_MEMORY / MB:g} MB in training", f"{found:.1f} MB", "within 5 MB", abs(found - 50) <= 5
    )


@dataclass(frozen=True)
class TrainingFigures:
    """The `pipeline` rounds of a case, and the peak of host memory in training, in bytes."""

    rounds: Rounds
    peak: int | None


def _launch_cases(
    backend: str, plants: dict[str, PlantedFault | None], number: int, watcher: RoundListener
) -> dict[str, TrainingFigures]:
    """Run one launch with a case for each plant, and return the figures by case.

    Args:
        backend: the backend whose workers are used.
        plants: by case; None for a case without one.
        number: the launch's number; it decides which case starts first.
        watcher: gets the events of the workers.

    Raises:
        UserError: a worker died.
    """
    with make_scratch_folder() as folder:
        jobs = list(_make_jobs(backend, plants, folder))
        launched = conductor.run_launch(jobs, ROUND_SECONDS, random.Random(), watcher, reverse_start=number % 2 == 0)
        found: dict[str, TrainingFigures] = {}
        for outcome in launched.outcomes:
            rounds = record_builder.read_rounds(outcome, "pipeline")
            if outcome.failure or rounds is None:
                reason = outcome.failure.reason if outcome.failure else "it left no rounds"
                raise UserError(f"worker {outcome.job.case} of the self-test died: {reason}")
            training = next(phase for phase in outcome.messages["memory"]["host"] if phase["name"] == "training")
            found[outcome.job.case] = TrainingFigures(rounds, training["peak"])
        return found


def _make_jobs(backend: str, plants: dict[str, PlantedFault | None], folder: Path) -> Iterator[Job]:
    task, _ = override_task("cifar10-resnet18", TASK_OVERRIDES)
    images = limit_training_images(data.load(task.dataset, None), task.train_limit, task.seed)
    file = write_images(images, folder)
    checkpoint = checkpoints.obtain(task, None).folder.absolute()
    for case, plant in plants.items():
        (folder / case).mkdir()
        yield Job(
            case=case,
            backend=backend,
            task=task,
            variant=Variant(threads=choose_threads(os.environ).number),
            data=file,
            scratch=folder,
            checkpoint=checkpoint,
            folder=folder / case,
            proof_images=1,
            proof_steps=0,
            rounds=ROUNDS,
            kinds=("pipeline",),
            seeds=(),
            descriptor=-1,
            plant=plant,
        )


def _check_ratio(name: str, logs: Sequence[float]) -> Finding:
    """Check that the interval of a ratio contains 1. On a machine without a fault it does so at `CONFIDENCE`."""
    found = ratio_interval(logs, CONFIDENCE)
    measured = f"{found.estimate:.3f} [{found.low:.3f}–{found.high:.3f}]"
    return Finding(name, measured, "its interval contains 1", not found.excludes(1))


def _check_clock() -> Finding:
    """Check the smallest tick of the clock that times the rounds."""
    ticks = []
    for _ in range(1000):
        start = time.perf_counter()
        while (now := time.perf_counter()) == start:
            pass
        ticks.append(now - start)
    least = min(ticks)
    return Finding("resolution of the clock", f"{least * 1e9:,.0f} ns", "1 µs or finer", least <= COARSEST_TICK)
