"""The conductor: it runs one launch of every case of a comparison.

It starts the workers, hands the baton round by round, and collects their messages. All workers are started, built and
warmed up one after the other, and then wait. Rounds interleave, so that the machine's drift affects all cases equally.
"""

from __future__ import annotations

import math
import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from bench.machine.gpu import GpuState, find_device, read_state, read_used_bytes
from bench.machine.load import Counters, read_counters, summarise_conditions
from bench.measure.launch_outcome import AJob, LaunchInterrupted, LaunchOutcome, WorkerOutcome
from bench.measure.silence import FINE_TUNE_TIMEOUT, ROUND_TIMEOUT, START_TIMEOUT, SilenceLimit
from bench.measure.worker_process import WorkerDied, WorkerProcess
from bench.records.record import Conditions
from bench.records.round_kinds import COMPARED
from bench.worker.channel import Message
from bench.worker.job import AnyJob

#: Length of a round of the input pipeline alone, as a share of the other rounds' length: nothing is compared with it.
LOADER_SHARE = 1 / 3
#: The run-in: steps before each round that are not timed. In them, threads that slept while others worked return to
#: their cores, and the batches that an input pipeline prepared meanwhile are used up. Measured with three cases that
#: took turns at 80 steps of batch 4 (60 turns, two cores): after a rest, the first three steps together took 0.5 to 0.6
#: of a step longer than the last forty, the next seven 0.1 to 0.5, and the ten after these up to 0.2. That is half a
#: per cent of a round of 0.25 s. The run-in has a minimum of steps, a share of the round, and a maximum share.
MIN_RUN_IN_STEPS = 10
RUN_IN_SHARE = 0.01
MAX_RUN_IN_SHARE = 1 / 4
#: Events with which a worker gives the baton back between its phases. If its job has `rests`, it also does so with
#: "built"; other workers send "built" and go on.
REST_EVENTS = ("calibrated", "ready", "fine-tune ready", "finished")


@dataclass(frozen=True)
class LaunchLimits:
    """The limits of a launch. With them a launch takes less time.

    Attributes:
        parallel_builds: most workers that are built at the same time; if more than 1, their jobs must have `rests`.
            Each worker is warmed up while the others wait.
        start_timeout: seconds without a message after which a starting worker is given up, even while it compiles; None
            for the usual limits.
        max_slowdown: a worker is ended before the rounds if its step takes more than this many times the first job's.
        is_too_late: whether no further worker may be started; the first one is always started.
    """

    parallel_builds: int = 1
    start_timeout: float | None = None
    max_slowdown: float = math.inf
    is_too_late: Callable[[], bool] = lambda: False

    @property
    def start_silence(self) -> SilenceLimit:
        """How long a starting worker may be silent."""
        if self.start_timeout is None:
            return SilenceLimit(START_TIMEOUT)
        return SilenceLimit(self.start_timeout, compiling=self.start_timeout)


DEFAULT_LIMITS = LaunchLimits()


class Watcher(Protocol):
    """Receives the progress of a launch, for example to show it."""

    def on_event(self, case: str, message: Message) -> None:
        """A worker was started (`spawned`), sent a message, or died."""

    def on_round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """A worker finished a round; the throughput is by the conductor's clock."""


def run_launch(
    jobs: Sequence[AJob],
    round_seconds: float,
    draw: random.Random,
    watcher: Watcher,
    reverse_start: bool = False,
    limits: LaunchLimits = DEFAULT_LIMITS,
) -> LaunchOutcome[AJob]:
    """Run one launch of each job, interleaved.

    Args:
        jobs: cases of one task.
        round_seconds: about how long the fastest case's round lasts; all cases do the same number of training steps.
        draw: source of the orders within a round.
        watcher: receives all progress.
        reverse_start: start the workers in reverse order; every second launch does.
        limits: of the launch; by default every job is measured.

    Raises:
        LaunchInterrupted: a signal ended it. A second signal ends the saving of finished cases, too.
    """
    outcomes = {job.case: WorkerOutcome(job) for job in jobs}
    finished: frozenset[str] | None = None
    with _open_workers(outcomes, watcher) as workers:
        try:
            _run_phases(workers, jobs, round_seconds, draw, reverse_start, limits)
        except KeyboardInterrupt:
            finished = workers.save_finished()
    measuring_s = sum(after.time - before.time for before, after in workers.counters)
    outcome = LaunchOutcome([outcomes[job.case] for job in jobs], measuring_s, workers.measure_conditions())
    if finished is not None:
        raise LaunchInterrupted(outcome, finished)
    return outcome


def _run_phases(
    workers: _LaunchWorkers,
    jobs: Sequence[AJob],
    round_seconds: float,
    draw: random.Random,
    reverse_start: bool,
    limits: LaunchLimits,
) -> None:
    """Start the workers, run all rounds, let them fine-tune, and let them end."""
    ordered = list(reversed(jobs) if reverse_start else jobs)
    if limits.parallel_builds > 1:
        workers.start_side_by_side(ordered, limits)
    else:
        for job in ordered:
            if job is ordered[0] or not limits.is_too_late():
                workers.start(job, limits.start_silence)
    workers.end_slow(jobs[0].case, limits.max_slowdown)
    for kind in dict.fromkeys(kind for job in jobs for kind in job.kinds):
        workers.run_rounds(kind, round_seconds * (LOADER_SHARE if kind == "loader" else 1), draw)
    for kind in COMPARED if any(job.later for job in jobs) else ():
        workers.run_rounds(kind, round_seconds, draw, later=True)
    while ready := workers.list_resting_at("fine-tune ready"):  # a sweep's workers return here for each fine-tune
        for worker in ready:
            workers.resume(worker, SilenceLimit(FINE_TUNE_TIMEOUT))
    workers.finish()


class _LaunchWorkers:
    """The workers of a launch, and the message with which each of them rests."""

    def __init__(self, outcomes: dict[str, WorkerOutcome[Any]], watcher: Watcher) -> None:
        self.outcomes, self.watcher = outcomes, watcher
        self.resting: dict[WorkerProcess, Message] = {}
        self.alive: list[WorkerProcess] = []
        self.saving: set[WorkerProcess] = set()
        self.counters: list[tuple[Counters, Counters]] = []
        self.device: GpuState | None = None

    def start(self, job: AnyJob, limit: SilenceLimit) -> None:
        """Start a worker and let it import, build, prove and warm up while all others wait."""
        gpu = find_device(job.variant.device)
        before = read_used_bytes(gpu.index) if gpu else None
        worker = self._spawn(job)
        with self.note_death(worker):
            self._await_rest(worker, limit)
        after = read_used_bytes(gpu.index) if gpu else None
        if before is not None and after is not None:
            self.outcomes[job.case].nvml_device = max(0, after - before)

    def start_side_by_side(self, jobs: Sequence[AnyJob], limits: LaunchLimits) -> None:
        """Build `limits.parallel_builds` workers at a time, and then let each of them warm up while all others wait."""
        building: deque[WorkerProcess] = deque()
        started: list[WorkerProcess] = []

        def await_one() -> None:
            worker = building.popleft()
            with self.note_death(worker):
                self._await_rest(worker, limits.start_silence, "built")

        for job in jobs:
            if len(building) == limits.parallel_builds:
                await_one()
            if not started or not limits.is_too_late():
                building.append(self._spawn(job))
                started.append(building[-1])
                self.outcomes[job.case].started_alone = False
        while building:
            await_one()
        for worker in self.list_resting_at("built"):
            self.resume(worker, limits.start_silence)

    def end_slow(self, first: str, max_slowdown: float) -> None:
        """End the workers whose step takes more than `max_slowdown` times as long as the case `first`'s."""
        step_seconds = {worker: self.resting[worker]["step_seconds"] for worker in self.list_resting_at("calibrated")}
        base = next((seconds for worker, seconds in step_seconds.items() if worker.job.case == first), None)
        for worker, seconds in step_seconds.items():
            if base is not None and seconds > max_slowdown * base:
                with self.note_death(worker):
                    worker.abort(f"a step takes {seconds / base:.1f} times as long as {first}'s")

    def run_rounds(self, kind: str, round_seconds: float, draw: random.Random, later: bool = False) -> None:
        """Run the first rounds of a kind, or its `later` ones, interleaved."""
        workers = [worker for worker in self.list_resting_at("calibrated") if self.resting[worker]["kind"] == kind]
        if not workers:
            return
        calibrated = {worker: self.resting[worker]["step_seconds"] for worker in workers}
        fastest: dict[str, float] = {}
        for worker, own in calibrated.items():
            fastest[worker.job.step_group] = min(own, fastest.get(worker.job.step_group, own))
        steps = {
            worker: max(1, math.ceil(round_seconds / (own if kind == "loader" else fastest[worker.job.step_group])))
            for worker, own in calibrated.items()
        }
        run_in = {worker: count_run_in_steps(count) for worker, count in steps.items()}
        expected_s = {worker: (steps[worker] + run_in[worker]) * calibrated[worker] for worker in workers}
        for worker in workers:
            limit = SilenceLimit(START_TIMEOUT).allow(expected_s[worker])
            self.resume(worker, limit, steps=steps[worker], run_in=run_in[worker])
        before = read_counters()
        job = workers[0].job
        first = job.count_first_rounds(kind)
        rounds, done = (job.later, first) if later else (first, 0)
        for number, order in enumerate(draw_balanced_orders(workers, rounds, draw), start=done + 1):
            for worker in order:
                if worker in self.alive:
                    self._run_round(worker, kind, number, steps[worker], expected_s[worker])
        gpu = find_device(job.variant.device)
        self.device = read_state(gpu.index) if gpu else None
        self.counters.append((before, read_counters()))
        for worker in workers:
            if worker in self.alive:
                self.resume(worker, SilenceLimit(START_TIMEOUT))

    def measure_conditions(self) -> Conditions | None:
        """What else the machine did while the rounds ran; None if there were none."""
        return summarise_conditions(self.counters, self.device, len(self.outcomes)) if self.counters else None

    def resume(self, worker: WorkerProcess, limit: SilenceLimit, **content: object) -> None:
        """Hand the baton to a resting worker and wait until it rests again."""
        with self.note_death(worker):
            worker.hand_baton(**content)
            self._await_rest(worker, limit)

    def finish(self) -> None:
        """Let the workers save and end, now that all rounds are over; a worker that has not finished has failed."""
        for worker in [worker for worker in self.alive if worker not in self.list_resting_at("finished")]:
            with self.note_death(worker):
                worker.abort(f"it rests at {self.resting[worker]['event']!r} when all should have finished")
        self._end_finished()

    def save_finished(self) -> frozenset[str]:
        """After a signal, let only the workers that have finished save and end; returns their cases."""
        finished = self.list_resting_at("finished")
        for worker in [worker for worker in self.alive if worker not in finished]:
            worker.kill()
            self.alive.remove(worker)
        self._end_finished()
        return frozenset(worker.job.case for worker in self.list_resting_at("finished"))

    def list_resting_at(self, event: str) -> list[WorkerProcess]:
        """The living workers that rest with the message `event`."""
        return [worker for worker in self.alive if self.resting.get(worker, {}).get("event") == event]

    @contextmanager
    def note_death(self, worker: WorkerProcess) -> Iterator[None]:
        """If the worker dies within the block, note its failure and go on without it."""
        try:
            yield
        except WorkerDied as death:
            self.outcomes[worker.job.case].failure = death.failure
            self.alive.remove(worker)
            self.watcher.on_event(worker.job.case, {"event": "died", "reason": death.failure.reason})

    def _end_finished(self) -> None:
        """Let all finished workers save at the same time, and wait for their ends."""
        for worker in self.list_resting_at("finished"):
            if worker not in self.saving:
                self.saving.add(worker)
                with self.note_death(worker):
                    worker.hand_baton()
        for worker in self.list_resting_at("finished"):
            with self.note_death(worker):
                worker.end()

    def _spawn(self, job: AnyJob) -> WorkerProcess:
        worker = WorkerProcess(job, self.watcher.on_event)
        self.alive.append(worker)
        outcome = self.outcomes[job.case]
        outcome.messages, outcome.variables, outcome.disobeyed = worker.messages, worker.variables, worker.disobeyed
        self.watcher.on_event(job.case, {"event": "spawned"})
        return worker

    def _run_round(self, worker: WorkerProcess, kind: str, number: int, steps: int, expected_s: float) -> None:
        with self.note_death(worker):
            began = time.perf_counter()
            worker.hand_baton()
            limit = SilenceLimit(ROUND_TIMEOUT).allow(expected_s)
            message = worker.wait_for("round", "aborted", limit=limit)
            if message["event"] == "aborted":
                self._await_failure(worker, limit)
            seconds = time.perf_counter() - began
            if "run_in_s" in message:
                seconds -= message["run_in_s"]
            else:  # a worker of an older revision: its rate has the run-in's steps, which take longer than the others
                steps += count_run_in_steps(steps)
            rate = steps * worker.job.images_per_step / seconds
            self.watcher.on_round(worker.job.case, kind, number, worker.job.rounds, rate)

    def _await_rest(self, worker: WorkerProcess, limit: SilenceLimit, *others: str) -> None:
        message = worker.wait_for(*REST_EVENTS, *others, limit=limit)
        if message["event"] == "finished" and "failed" in worker.messages:
            self._await_failure(worker, limit)
        self.resting[worker] = message

    def _await_failure(self, worker: WorkerProcess, limit: SilenceLimit) -> None:
        """Let a worker that failed send its reason and end, which raises `WorkerDied`."""
        worker.hand_baton()
        worker.wait_for("never", limit=limit)


@contextmanager
def _open_workers(outcomes: dict[str, WorkerOutcome[Any]], watcher: Watcher) -> Iterator[_LaunchWorkers]:
    """The workers of a launch; those that still live are killed when the block ends."""
    workers = _LaunchWorkers(outcomes, watcher)
    try:
        yield workers
    finally:
        for worker in workers.alive:
            worker.kill()


def count_run_in_steps(steps: int) -> int:
    """The untimed steps before a round of `steps`: a share of them and at least a minimum, but at most a quarter."""
    return max(math.floor(steps * RUN_IN_SHARE), min(MIN_RUN_IN_STEPS, math.floor(steps * MAX_RUN_IN_SHARE)))


def draw_balanced_orders(
    workers: Sequence[WorkerProcess], rounds: int, draw: random.Random
) -> Iterator[list[WorkerProcess]]:
    """Draw an order of the workers for every round: random, and every second one reverses the one before (AB, BA).

    A constant bias towards the worker that comes first would cost more precision than noise does.
    """
    order: list[WorkerProcess] = []
    for number in range(rounds):
        order = order[::-1] if number % 2 else draw.sample(list(workers), len(workers))
        yield order
