"""In a worker's own process: our `pipeline` step in blocks, alternating with its framework's idiomatic script.

`python -m tests.yardsticks.script_in_worker JOB.json` runs it. One process and one thread, because two processes of
the very same code differ by several per cent, which no number of rounds averages out. So the script has the main
loop, and its `tick` runs our blocks between its own. Whichever is built first lies in other memory, and seemed a per
cent slower for it, in four processes each way: ours is built first in one launch, and second in the next.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import sys
import time
from collections.abc import Callable, Generator

from safetensors.numpy import load_file

from backends.base import Training
from bench.worker import plugin
from bench.worker.warmup import warm_up
from tests.yardsticks import in_worker
from tests.yardsticks.case import ROUND_SECONDS

#: More than any measurement needs.
EPOCHS = 1000
IMAGES = 1_600_000


#: How a case is called where ours is built after the script.
SECOND = "-second"


class Over(Exception):
    """All blocks are done: unwinds the script."""


class Blocks:
    """The `tick` of a script: one subtraction and one comparison a call, but for the ends of blocks."""

    def __init__(self, course: Generator[int, None, None]) -> None:
        self.course = course
        self.left = next(course)

    def __call__(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left <= 0:
            wait_for_jax()
            self.left = next(self.course, 0)
            if not self.left:
                raise Over


def course(
    start: Callable[[], Training], second: bool, rounds: int, seconds: dict[str, list[float]], at_once: int = 1
) -> Generator[int, None, None]:
    """The steps of each of the script's blocks in turn, with ours in between; fills in the seconds of each round.

    Ours is started at once, or `second`, when the script has done a step.
    Ours warms up by the harness' own rule, and the script by as many steps. A script that does `at_once` steps between
    two ticks has blocks of whole ticks, and so has ours.
    """
    if second:
        yield at_once
    ours = start()
    warm = warm_up(ours.advance)
    yield _whole(warm.steps, at_once)
    steps = _whole(ROUND_SECONDS / warm.step_seconds, at_once)
    for number in range(rounds):
        for name in ("ours", "script") if number % 2 else ("script", "ours"):
            began = time.perf_counter()
            if name == "ours":
                ours.advance(steps)
            else:
                yield steps
            seconds[name].append(time.perf_counter() - began)
    ours.close()


def wait_for_jax() -> None:
    """Wait until JAX has computed everything: it returns before that, and what a script has left to do at the end of a
    block would slow ours down. Other frameworks compute before they return on a CPU.
    """
    if jax := sys.modules.get("jax"):
        jax.block_until_ready(jax.live_arrays())


def _whole(steps: float, at_once: int) -> int:
    return max(1, round(steps / at_once)) * at_once


def compare(session: plugin.CaseSession, name: str) -> None:
    """Run the blocks against `tests.yardsticks.NAME`, and send the seconds of each."""

    def start() -> Training:
        if second:
            _, head = session.draw(session.task.seed)
            session.trainer = session.backend.build(session.task, job.variant, session.checkpoint, head)
        return session.start_rounds("pipeline", IMAGES // job.task.batch_size)

    job = session.job
    data = load_file(job.data)
    script = importlib.import_module(f"tests.yardsticks.{name}")
    second = job.case.endswith(SECOND)
    if second:
        del session.trainer
        gc.collect()
    seconds: dict[str, list[float]] = {"ours": [], "script": []}
    with contextlib.suppress(Over):
        tick = Blocks(course(start, second, job.rounds, seconds, getattr(script, "AT_ONCE", 1)))
        script.main(data["train_images"], data["train_labels"], job.task.batch_size, EPOCHS, tick)
    session.baton.send("compared", **seconds)


def get_script(backend: str, kind: str) -> str:
    """The module of a backend's `script` or `fastest` loop: all backends on Keras have the same, on their engine."""
    return f"{'keras' if backend.startswith('keras') else backend}_{kind}"


def test_ours_against_the_script(case: str, session: plugin.CaseSession) -> None:
    compare(session, get_script(session.job.backend, "script"))


if __name__ == "__main__":
    sys.exit(in_worker.run(__file__, sys.argv[1]))
