"""The harness under test: does it show what is there, and nothing that is not?

Every check goes through real workers of a real backend. A plant is something hidden in a worker, see
`bench.worker.planted_fault`.
"""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil

from backends.task import Variant
from bench import data
from bench.analysis.statistics import log_ratios, ratio
from bench.data.subset import limit
from bench.errors import UserError
from bench.machine.environment import usable_cores
from bench.measure import conductor, record_builder
from bench.measure.run import write_images
from bench.plan.request import overridden_task
from bench.records.record import Rounds
from bench.records.units import MB
from bench.weights import checkpoints
from bench.worker.channel import Message
from bench.worker.job import Job
from bench.worker.planted_fault import Plant

#: The case: the default task on images and weights that need no download.
OVERRIDES = {"weights": "random", "dataset": "digits"}
LAUNCHES = 5
ROUNDS = 8
ROUND_SECONDS = 0.5
WAIT = 0.005
BALLAST = 50 * MB
#: Seconds between two ticks of a clock that is good enough: a step takes a thousand times as long.
RESOLUTION = 1e-6


@dataclass(frozen=True)
class Finding:
    """One check: what was measured, what is wanted, and whether it is so."""

    name: str
    measured: str
    wanted: str
    passed: bool


@dataclass
class Listener:
    """A `Watcher` of the conductor that notes what it sees of the rounds, and what waiting workers use."""

    say: Callable[[str], object]
    order: dict[tuple[str, int], list[str]] = field(default_factory=dict)
    rates: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    waiting_cpu: float = 0.0
    waited: float = 0.0
    _before: tuple[float, dict[int, float]] | None = None

    def event(self, case: str, message: Message) -> None:
        """See `Watcher.event`."""
        if message["event"] == "phase":
            self.say(f"  {case}: {message['name']}")
            self._before = None

    def round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """See `Watcher.round`."""
        self.order.setdefault((kind, number), []).append(case)
        self.rates.setdefault((kind, case), []).append(images_per_second)
        self._see_waiting(case)

    def _see_waiting(self, case: str) -> None:
        """Add up the CPU that the workers without the baton used since the last round ended."""
        now: tuple[float, dict[int, float]] = (time.perf_counter(), {})
        worked: set[int] = set()
        for process in psutil.Process().children():
            try:
                times, line = process.cpu_times(), process.cmdline()
            except psutil.Error:
                continue
            now[1][process.pid] = times.user + times.system
            if any(f"/{case}/job.json" in part for part in line):
                worked.add(process.pid)
        if self._before is not None and worked:
            began, before = self._before
            self.waited += now[0] - began
            self.waiting_cpu += sum(
                used - before[pid] for pid, used in now[1].items() if pid in before and pid not in worked
            )
        self._before = now


def check(backend: str, say: Callable[[str], object]) -> Iterator[Finding]:
    """All checks, each as soon as it is decided; about five minutes on two cores.

    Args:
        backend: whose workers are used.
        say: told of progress, a line at a time.

    Raises:
        UserError: a worker died.
    """
    yield _resolution()
    ys, first, overheads, waiting, waited = [], [], [], 0.0, 0.0
    for number in range(1, LAUNCHES + 1):
        say(f"one case twice, launch {number} of {LAUNCHES}")
        seen = Listener(say)
        rounds = _launch(backend, {"a": None, "b": None}, number, seen)
        a, b = (np.array(rounds[case].rounds.seconds) for case in ("a", "b"))
        ys += log_ratios([a.tolist()], [b.tolist()])
        ahead = np.array([seen.order["pipeline", n + 1][0] == "a" for n in range(len(a))])
        logs = np.log(a / b)
        first.append(float(np.median(logs[ahead]) - np.median(logs[~ahead])) / 2)
        for case in ("a", "b"):
            told = rounds[case].rounds
            table = told.images / statistics.median(told.seconds)
            overheads.append(table / statistics.median(seen.rates["pipeline", case]) - 1)
        waiting, waited = waiting + seen.waiting_cpu, waited + seen.waited
    yield _zero("one case twice: ratio of the two", ys)
    yield _zero("the case that comes first against the second", first)
    yield Finding(
        "throughput in the table against samples over wall time",
        f"{statistics.median(overheads):+.2%}",
        "within 0.5 %",
        abs(statistics.median(overheads)) <= 0.005,
    )
    share = waiting / waited
    yield Finding("CPU of waiting workers, of one core", f"{share:.2%}", "below 1 %", share < 0.01)

    say("plants")
    plants = {"waits": Plant(wait_s=WAIT), "plain": None, "holds": Plant(memory=BALLAST)}
    planted = _launch(backend, plants, 1, Listener(say))
    told = planted["waits"].rounds
    step = statistics.median(told.seconds) / told.steps
    yield Finding(
        f"a planted wait of {WAIT * 1000:g} ms a step",
        f"{step * 1000:.3f} ms",
        "within 2 %",
        abs(step / WAIT - 1) <= 0.02,
    )
    before, during = planted["plain"].peak, planted["holds"].peak
    if before is None or during is None:
        yield Finding("a planted 50 MB in training", "this system does not tell", "within 5 MB", False)
        return
    more = (during - before) / MB
    yield Finding(f"a planted {BALLAST / MB:g} MB in training", f"{more:.1f} MB", "within 5 MB", abs(more - 50) <= 5)


@dataclass(frozen=True)
class Measured:
    """The `pipeline` rounds of a case, and the peak of training in bytes."""

    rounds: Rounds
    peak: int | None


def _launch(backend: str, plants: dict[str, Plant | None], number: int, watcher: Listener) -> dict[str, Measured]:
    """One launch with a case a plant."""
    with tempfile.TemporaryDirectory(prefix="head-to-head-") as name:
        jobs = list(_jobs(backend, plants, Path(name)))
        done = conductor.launch(jobs, ROUND_SECONDS, random.Random(), watcher, reverse_start=number % 2 == 0)
        found: dict[str, Measured] = {}
        for outcome in done.outcomes:
            rounds = record_builder.rounds(outcome, "pipeline")
            if outcome.failure or rounds is None:
                reason = outcome.failure.reason if outcome.failure else "it left no rounds"
                raise UserError(f"worker {outcome.job.case} of the self-test died: {reason}")
            training = next(phase for phase in outcome.said["memory"]["host"] if phase["name"] == "training")
            found[outcome.job.case] = Measured(rounds, training["peak"])
        return found


def _jobs(backend: str, plants: dict[str, Plant | None], folder: Path) -> Iterator[Job]:
    task, _ = overridden_task("cifar10-resnet18", OVERRIDES)
    images = limit(data.load(task.dataset, None), task.train_limit, task.seed)
    file = write_images(images, folder)
    checkpoint = checkpoints.obtain(task, None).folder.absolute()
    for case, plant in plants.items():
        (folder / case).mkdir()
        yield Job(
            case=case,
            backend=backend,
            task=task,
            variant=Variant(threads=usable_cores()),
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


def _zero(name: str, logs: Sequence[float]) -> Finding:
    """A ratio that is 1 within its interval."""
    found = ratio(logs)
    told = f"{found.estimate:.3f} [{found.low:.3f}–{found.high:.3f}]"
    return Finding(name, told, "its interval holds 1", not found.excludes(1))


def _resolution() -> Finding:
    """The smallest step of the clock that times the rounds."""
    ticks = []
    for _ in range(1000):
        began = time.perf_counter()
        while (now := time.perf_counter()) == began:
            pass
        ticks.append(now - began)
    least = min(ticks)
    return Finding("resolution of the clock", f"{least * 1e9:,.0f} ns", "1 µs or finer", least <= RESOLUTION)
