"""One launch of every case of a comparison: start the workers, hand the baton round by round, collect what they say.

All workers are started, built and warmed up one after the other, and then wait. Rounds interleave, so that the
machine's drift hits all cases alike.
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from bench.machine.gpu import State, check_device, state, used_bytes
from bench.machine.load import Look, between, look
from bench.measure.worker_process import WorkerDied, WorkerProcess
from bench.records.record import Conditions, Failure
from bench.records.round_kinds import COMPARED
from bench.worker.channel import Message
from bench.worker.job import AnyJob

#: Rounds of the input pipeline alone are compared with nothing: this share of the others' length is enough.
LOADER_SHARE = 1 / 3
#: Before each round, steps that are not timed: threads that slept while others worked find their cores again, and what
#: an input pipeline did meanwhile is used up. Of three cases that took turns at 80 steps of batch 4 (60 turns, two
#: cores), the first three steps after a rest took together 0.5 to 0.6 of a step longer than the last forty, the next
#: seven 0.1 to 0.5, and the ten after these up to 0.2: half a per cent of a round of 0.25 s.
#: At least so many, and this share of a round; never more than the last share.
RUN_IN = 10
RUN_IN_SHARE = 0.01
MOST_RUN_IN = 1 / 4
#: What a worker says when it gives the baton back between its phases. Where its job says that it rests, it does so when
#: it is "built", too; others say just the same and go on.
RESTS = ("calibrated", "ready", "fine-tune ready", "finished")
#: Seconds without a word from a worker after which it is taken for hung. A start may trace and compile.
START_TIMEOUT = 900.0
ROUND_TIMEOUT = 300.0
FINE_TUNE_TIMEOUT = 900.0


AJob = TypeVar("AJob", bound=AnyJob)


@dataclass(frozen=True)
class Haste:
    """How a search, which can do without some of its cases, saves time.

    Attributes:
        abreast: workers that are built at the same time, where their jobs rest then; each is warmed up alone.
        patience: seconds without a word from a worker that starts.
        slowest: a worker whose step takes more than so many times the first job's is ended before the rounds.
        late: whether it is too late to start another worker; the first is started all the same.
    """

    abreast: int = 1
    patience: float = START_TIMEOUT
    slowest: float = math.inf
    late: Callable[[], bool] = lambda: False


LEISURE = Haste()


class Watcher(Protocol):
    """Whoever shows progress."""

    def event(self, case: str, message: Message) -> None:
        """A worker said something."""

    def round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """A worker finished a round, as the conductor saw it."""


@dataclass
class Outcome(Generic[AJob]):
    """What became of one worker.

    Attributes:
        said: its last message of each event (and kind), see `bench.worker.plugin`.
        failure: set where it died.
        nvml_device: bytes of device memory that NVML saw appear while it started; None without a GPU.
    """

    job: AJob
    said: dict[str, Message] = field(default_factory=dict)
    failure: Failure | None = None
    nvml_device: int | None = None


@dataclass
class Launch(Generic[AJob]):
    """The outcomes in the order of the jobs, how long the rounds of all took, hand-overs included, and what else went
    on meanwhile.
    """

    outcomes: list[Outcome[AJob]]
    measuring_s: float
    conditions: Conditions | None


def launch(
    jobs: Sequence[AJob],
    round_seconds: float,
    draw: random.Random,
    watcher: Watcher,
    reverse_start: bool = False,
    haste: Haste = LEISURE,
) -> Launch[AJob]:
    """Run one launch of each job, interleaved.

    Args:
        jobs: cases of one task.
        round_seconds: about how long the fastest case's round lasts; all cases do the same number of training steps.
        draw: source of the orders within a round.
        watcher: told of all progress.
        reverse_start: start the workers in reverse order, which launches take turns at.
        haste: where it is not all to be done at leisure.
    """
    outcomes = {job.case: Outcome(job) for job in jobs}
    with _workers(outcomes, watcher) as crew:
        ordered = list(reversed(jobs) if reverse_start else jobs)
        if haste.abreast > 1:
            crew.start_abreast(ordered, haste)
        else:
            for job in ordered:
                if job is ordered[0] or not haste.late():
                    crew.start(job, haste.patience)
        crew.leave_behind(jobs[0].case, haste.slowest)
        for kind in dict.fromkeys(kind for job in jobs for kind in job.kinds):
            crew.rounds(kind, round_seconds * (LOADER_SHARE if kind == "loader" else 1), draw)
        for kind in COMPARED if any(job.later for job in jobs) else ():
            crew.rounds(kind, round_seconds, draw, later=True)
        while ready := crew.at("fine-tune ready"):  # a sweep's workers come back for the next one
            for worker in ready:
                crew.resume(worker, FINE_TUNE_TIMEOUT)
        crew.finish()
    measuring_s = sum(after.time - before.time for before, after in crew.looks)
    return Launch([outcomes[job.case] for job in jobs], measuring_s, crew.conditions())


class _Crew:
    """The workers of a launch, and where each of them waits."""

    def __init__(self, outcomes: dict[str, Outcome[Any]], watcher: Watcher) -> None:
        self.outcomes, self.watcher = outcomes, watcher
        self.waiting: dict[WorkerProcess, Message] = {}
        self.alive: list[WorkerProcess] = []
        self.looks: list[tuple[Look, Look]] = []
        self.device: State | None = None

    def start(self, job: AnyJob, patience: float = START_TIMEOUT) -> None:
        """Start a worker and let it import, build, prove and warm up alone."""
        gpu = check_device(job.variant.device)
        before = used_bytes(gpu.index) if gpu else None
        worker = self._spawn(job)
        with self.surviving(worker):
            self._await_rest(worker, patience)
        after = used_bytes(gpu.index) if gpu else None
        if before is not None and after is not None:
            self.outcomes[job.case].nvml_device = max(0, after - before)

    def start_abreast(self, jobs: Sequence[AnyJob], haste: Haste) -> None:
        """Start workers, so many at a time, until they are built, and then let each warm up alone."""
        building: deque[WorkerProcess] = deque()
        started: list[WorkerProcess] = []

        def await_one() -> None:
            worker = building.popleft()
            with self.surviving(worker):
                self._await_rest(worker, haste.patience, "built")

        for job in jobs:
            if len(building) == haste.abreast:
                await_one()
            if not started or not haste.late():
                building.append(self._spawn(job))
                started.append(building[-1])
        while building:
            await_one()
        for worker in started:
            if worker in self.alive:
                self.resume(worker, haste.patience)

    def leave_behind(self, first: str, slowest: float) -> None:
        """End those whose step takes more than `slowest` times as long as the first case's."""
        took = {worker: self.waiting[worker]["step_seconds"] for worker in self.at("calibrated")}
        pace = next((seconds for worker, seconds in took.items() if worker.job.case == first), None)
        for worker, seconds in took.items():
            if pace is not None and seconds > slowest * pace:
                with self.surviving(worker):
                    worker.refuse(f"a step takes {seconds / pace:.1f} times as long as {first}'s")

    def rounds(self, kind: str, round_seconds: float, draw: random.Random, later: bool = False) -> None:
        """All rounds of a kind, or all later ones."""
        crew = [worker for worker in self.at("calibrated") if self.waiting[worker]["kind"] == kind]
        if not crew:
            return
        calibrated = {worker: self.waiting[worker]["step_seconds"] for worker in crew}
        fastest: dict[str, float] = {}
        for worker, own in calibrated.items():
            fastest[worker.job.pace] = min(own, fastest.get(worker.job.pace, own))
        steps = {
            worker: max(1, math.ceil(round_seconds / (own if kind == "loader" else fastest[worker.job.pace])))
            for worker, own in calibrated.items()
        }
        for worker in crew:
            self.resume(worker, START_TIMEOUT, steps=steps[worker], run_in=run_in(steps[worker]))
        before = look()
        job = crew[0].job
        first = job.first_rounds(kind)
        rounds, before_them = (job.later, first) if later else (first, 0)
        for number, order in enumerate(balanced_orders(crew, rounds, draw), start=before_them + 1):
            for worker in order:
                if worker in self.alive:
                    self._round(worker, kind, number, steps[worker] + run_in(steps[worker]))
        gpu = check_device(job.variant.device)
        self.device = state(gpu.index) if gpu else None
        self.looks.append((before, look()))
        for worker in crew:
            if worker in self.alive:
                self.resume(worker, START_TIMEOUT)

    def conditions(self) -> Conditions | None:
        """What else went on while the rounds ran; None if there were none."""
        return between(self.looks, self.device, len(self.outcomes)) if self.looks else None

    def resume(self, worker: WorkerProcess, timeout: float, **content: object) -> None:
        """Let a resting worker run on to its next rest."""
        with self.surviving(worker):
            worker.hand_baton(**content)
            self._await_rest(worker, timeout)

    def finish(self) -> None:
        """Let the workers save and end, now that nothing is timed any more; one that is not there yet has failed."""
        for worker in [worker for worker in self.alive if worker not in self.at("finished")]:
            with self.surviving(worker):
                worker.refuse(f"it rests at {self.waiting[worker]['event']!r} when all should have finished")
        for step in (WorkerProcess.hand_baton, WorkerProcess.end):
            for worker in self.at("finished"):
                with self.surviving(worker):
                    step(worker)

    def at(self, event: str) -> list[WorkerProcess]:
        """The living workers whose last rest was `event`."""
        return [worker for worker in self.alive if self.waiting.get(worker, {}).get("event") == event]

    @contextmanager
    def surviving(self, worker: WorkerProcess) -> Iterator[None]:
        """If the worker dies within the block, note how, and let the others go on."""
        try:
            yield
        except WorkerDied as death:
            self.outcomes[worker.job.case].failure = death.failure
            self.alive.remove(worker)
            self.watcher.event(worker.job.case, {"event": "died", "reason": death.failure.reason})

    def _spawn(self, job: AnyJob) -> WorkerProcess:
        worker = WorkerProcess(job, self.watcher.event)
        self.alive.append(worker)
        self.outcomes[job.case].said = worker.said
        return worker

    def _round(self, worker: WorkerProcess, kind: str, number: int, steps: int) -> None:
        with self.surviving(worker):
            began = time.perf_counter()
            worker.hand_baton()
            if worker.wait_for("round", "aborted", timeout=ROUND_TIMEOUT)["event"] == "aborted":
                self._let_fail(worker, ROUND_TIMEOUT)
            rate = steps * worker.job.images_per_step / (time.perf_counter() - began)
            self.watcher.round(worker.job.case, kind, number, worker.job.rounds, rate)

    def _await_rest(self, worker: WorkerProcess, timeout: float, *others: str) -> None:
        message = worker.wait_for(*RESTS, *others, timeout=timeout)
        if message["event"] == "finished" and "failed" in worker.said:
            self._let_fail(worker, timeout)
        self.waiting[worker] = message

    def _let_fail(self, worker: WorkerProcess, timeout: float) -> None:
        """Let a worker that failed say why and end, which raises."""
        worker.hand_baton()
        worker.wait_for("never", timeout=timeout)


@contextmanager
def _workers(outcomes: dict[str, Outcome[Any]], watcher: Watcher) -> Iterator[_Crew]:
    """A crew of which nobody is left behind, whatever happens."""
    crew = _Crew(outcomes, watcher)
    try:
        yield crew
    finally:
        for worker in crew.alive:
            worker.kill()


def run_in(steps: int) -> int:
    """Steps that are not timed, before the `steps` of a round: a share of them and no fewer than `RUN_IN`, but never
    more than a quarter.
    """
    return max(math.floor(steps * RUN_IN_SHARE), min(RUN_IN, math.floor(steps * MOST_RUN_IN)))


def balanced_orders(
    workers: Sequence[WorkerProcess], rounds: int, draw: random.Random
) -> Iterator[list[WorkerProcess]]:
    """An order for every round: random, and every second one the reverse of the one before (AB, BA).

    A constant bias towards whoever comes first would cost more than noise does.
    """
    order: list[WorkerProcess] = []
    for number in range(rounds):
        order = order[::-1] if number % 2 else draw.sample(list(workers), len(workers))
        yield order
