"""Each backend's `pipeline` step against the idiomatic script of its framework, round by round."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from bench.stats import log_ratios
from bench.worker_process import WorkerProcess
from tests.yardsticks import case
from tests.yardsticks.partner import TIMEOUT, Partner


def pair(backend: str, data: Path, rounds: int, ours_first: bool) -> float:
    """One launch of each, interleaved: y, the median over rounds of ln(throughput of ours / of the script).

    Both start alone, one after the other, and warm up by the same rule; the order within a round alternates.
    """
    job = case.job(backend, data, rounds)
    worker: WorkerProcess | None = None
    arguments = (backend, "{job}")
    script = None
    try:
        for ours in (ours_first, not ours_first):
            if ours:
                worker = WorkerProcess(job, lambda *_: None)
                our_step = worker.wait_for("calibrated", timeout=TIMEOUT)["step_seconds"]
            else:
                script = Partner(job, "tests.yardsticks.yardstick_worker", *arguments)
                its_step = script.wait_for("calibrated")["step_seconds"]
        steps = max(1, math.ceil(case.ROUND_SECONDS / min(our_step, its_step)))
        worker.hand_baton(steps=steps)
        worker.wait_for("ready", timeout=TIMEOUT)
        script.hand_baton(steps=steps)
        script.wait_for("ready")
        seconds = _rounds(worker, script, rounds, ours_first)
        script.__exit__()
        _finish(worker)
    finally:
        if script:
            script.__exit__()
        if worker:
            worker.kill()
    return log_ratios([seconds], [case.reported_seconds(job, "pipeline")])[0]


def _rounds(worker: WorkerProcess, script: Partner, rounds: int, ours_first: bool) -> list[float]:
    """Play them all; the seconds of the script's."""
    seconds = []

    def ours() -> None:
        worker.hand_baton()
        worker.wait_for("round", timeout=TIMEOUT)

    def its() -> None:
        script.hand_baton()
        seconds.append(script.wait_for("round")["seconds"])

    for number in range(rounds):
        order: list[Callable[[], None]] = [ours, its]
        for turn in order if ours_first == (number % 2 == 0) else reversed(order):
            turn()
    return seconds


def _finish(worker: WorkerProcess) -> None:
    """Let the worker run on, through shortest `compute` rounds, to where it saves pytest-benchmark's file."""
    worker.hand_baton()
    worker.wait_for("calibrated", timeout=TIMEOUT)
    worker.hand_baton(steps=1)
    worker.wait_for("ready", timeout=TIMEOUT)
    for _ in range(worker.job.rounds):
        worker.hand_baton()
        worker.wait_for("round", timeout=TIMEOUT)
    worker.hand_baton()
    worker.wait_for("finished", timeout=TIMEOUT)
    worker.hand_baton()
    worker.end()
