"""The run of `bench fit`: trials of batch sizes, each in a process of its own."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from backends.task import Variant
from bench.errors import UserError
from bench.fit.batch_search import Trial, choose_batch_size, find_bounds
from bench.fit.memory_watch import MemoryWatch
from bench.machine.gpu import find_device
from bench.machine.load import read_memory
from bench.measure.case_job import make_case_job, write_images
from bench.measure.conductor import Watcher, run_launch
from bench.measure.launch_outcome import WorkerOutcome
from bench.measure.scratch_folder import make_scratch_folder
from bench.measure.worker_process import is_out_of_memory
from bench.plan.plan import Plan
from bench.plan.prepared_task import PreparedTask
from bench.records.units import MB
from bench.worker.job import Job

#: Training steps of a trial, after the first one: what an input pipeline prepares ahead is in memory then, too, and
#: allocators have grown.
STEPS = 2
#: The share of the memory that is available that a case may take by default: the rest is for other programs.
SHARE = 0.9


@dataclass
class CaseFit:
    """What is known of a case.

    Attributes:
        place: the memory that bounds the batch: `host` or `device`.
        limit: its bytes that a case may take.
        most: number of training images, the largest batch that there is.
        failure: why the search was given up: something else than a lack of memory; empty if it was not.
    """

    prepared: PreparedTask
    backend: str
    variant: Variant
    place: str
    limit: int
    most: int
    trials: list[Trial] = field(default_factory=list)
    failure: str = ""

    @property
    def name(self) -> str:
        """The case in tables."""
        return f"{self.backend}/{self.variant.name}"

    @property
    def bounds(self) -> tuple[Trial | None, Trial | None]:
        """The largest batch that is known to fit, and the smallest that is known not to."""
        return find_bounds(self.trials)


OnTrial = Callable[[CaseFit, Trial], object]


def choose_host_limit(memory: int | None) -> int:
    """Choose the bytes of host memory that a case may take: the requested, or a share of what is available.

    Raises:
        UserError: nothing is requested, or more than is available, or it is not known how much that is.
    """
    if memory == 0:
        raise UserError("--memory 0MB: no case takes nothing: give more, as 8GB")
    available = read_memory()[0]
    if available is None:
        if memory is None:
            raise UserError("the system does not report its free memory: say how much a case may take with --memory")
        return memory
    if memory is not None and memory > available:
        raise UserError(
            f"--memory {memory // MB}MB: {available / MB:,.0f} MB are free: give less, or end other programs"
        )
    return int(SHARE * available) if memory is None else memory


def find_largest_batches(
    plan: Plan, memory: int | None, fits: list[CaseFit], watcher: Watcher, on_trial: OnTrial
) -> None:
    """Find the largest batch of each case.

    Args:
        plan: of tasks and cases.
        memory: bytes of host memory that a case may take; None for a share of what is available.
        fits: receives each case when its search begins, so that an interrupt loses nothing.
        watcher: receives the progress within a trial.
        on_trial: called with each trial that is over.

    Raises:
        UserError: the memory cannot be given.
    """
    host_limit = choose_host_limit(memory)
    for prepared in plan.tasks:
        with make_scratch_folder() as folder:
            data = write_images(prepared.dataset, folder)
            for backend, variant in plan.cases(prepared):
                gpu = find_device(variant.device)
                place, limit = ("device", gpu.memory_total) if gpu else ("host", host_limit)
                most = len(prepared.dataset.train_images)
                fit = CaseFit(prepared, backend, variant, place, limit, most)
                fits.append(fit)
                _search(fit, host_limit, data, folder, watcher, on_trial)


def _search(fit: CaseFit, host_limit: int, data: Path, folder: Path, watcher: Watcher, on_trial: OnTrial) -> None:
    start = fit.prepared.task.batch_size
    while not fit.failure and (size := choose_batch_size(fit.trials, start, fit.most, fit.limit)):
        own = folder / f"{fit.backend}-{fit.variant.name}-{size}"
        own.mkdir()
        task = fit.prepared.task.model_copy(update={"batch_size": size})
        prepared = replace(fit.prepared, task=task)
        job = make_case_job(prepared, fit.backend, fit.variant, data, own, trial_steps=STEPS)
        with MemoryWatch(host_limit) as watch:
            (outcome,) = run_launch([job], 0.0, random.Random(), watcher).outcomes
        trial = _judge(fit, size, outcome, watch, host_limit)
        if trial:
            fit.trials.append(trial)
            on_trial(fit, trial)


def _judge(fit: CaseFit, size: int, outcome: WorkerOutcome[Job], watch: MemoryWatch, host_limit: int) -> Trial | None:
    """What a trial has shown; None if it failed for another reason than memory, which ends the search."""
    device = outcome.messages.get("memory", {}).get("device_reserved")
    memory = device or 0 if fit.place == "device" else watch.peak
    if watch.exceeded:
        return Trial(size, False, memory, f"more than {host_limit / MB:,.0f} MB of host memory")
    if outcome.failure is None:
        return Trial(size, True, memory)
    if is_out_of_memory(outcome.failure):
        return Trial(size, False, memory, f"no more {fit.place} memory")
    fit.failure = outcome.failure.reason
    return None
