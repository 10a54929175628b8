"""In a worker's own process: our `pipeline` step in blocks, alternating with its framework's idiomatic script.

`python -m tests.yardsticks.script_in_worker JOB.json` runs it. One process, because two processes of the very
same code differ by several per cent, which no number of rounds averages out.
"""

from __future__ import annotations

import importlib
import sys
import threading
import time
from collections.abc import Callable

from safetensors.numpy import load_file

from bench.worker import plugin
from bench.worker.job import Job
from bench.worker.warmup import warm_up
from tests.yardsticks import in_worker
from tests.yardsticks.case import ROUND_SECONDS

#: More than any measurement needs.
EPOCHS = 1000
STEPS = 100_000


class Over(Exception):
    """Nobody wants more steps: unwinds the script."""


class Script:
    """A script in a thread of its own, whose `tick` lets it rest between calls of `advance`.

    The script knows nothing of it: an unblocked tick is one subtraction and one comparison.
    """

    def __init__(self, main: Callable[[Callable[[], None]], object]) -> None:
        self._left = 1  # building, and the first step
        self._over = False
        self._error: BaseException | None = None
        self._gate = threading.Condition()
        self._thread = threading.Thread(target=self._run, args=(main,), daemon=True)
        self._thread.start()
        self._wait()

    def advance(self, steps: int) -> None:
        """Let it do so many steps, and wait for it."""
        with self._gate:
            self._left = steps
            self._gate.notify_all()
        self._wait()

    def close(self) -> None:
        """Unwind it."""
        with self._gate:
            self._over = True
            self._gate.notify_all()
        self._thread.join()

    def tick(self) -> None:
        """What the script calls after every step."""
        self._left -= 1
        if self._left:
            return
        with self._gate:
            self._gate.notify_all()
            self._gate.wait_for(lambda: self._left or self._over)
        if self._over:
            raise Over

    def _wait(self) -> None:
        with self._gate:
            self._gate.wait_for(lambda: not self._left or self._error)
        if self._error:
            raise self._error

    def _run(self, main: Callable[[Callable[[], None]], object]) -> None:
        try:
            main(self.tick)
            raise RuntimeError("the script ended before it was closed")
        except Over:
            return
        except BaseException as error:  # it belongs to whoever waits
            with self._gate:
                self._error = error
                self._gate.notify_all()


def start_script(job: Job) -> Script:
    """The script of the job's backend, on the job's images and batch size."""
    data = load_file(job.data)
    script = importlib.import_module(f"tests.yardsticks.{job.backend}_script")
    images, labels, size = data["train_images"], data["train_labels"], job.task.batch_size
    return Script(lambda tick: script.main(images, labels, size, EPOCHS, tick))


def test_ours_against_the_script(case: str, bench: plugin.Bench) -> None:
    # Ours comes first: it sets the number of threads, which TensorFlow takes no more once it has computed.
    arms = {"ours": bench.start("pipeline", STEPS), "script": start_script(bench.job)}
    step_seconds = min(warm_up(arm.advance).step_seconds for arm in arms.values())
    steps = max(1, round(ROUND_SECONDS / step_seconds))
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for number in range(bench.job.rounds):
        for name in sorted(arms, reverse=bool(number % 2)):  # AB, BA
            began = time.perf_counter()
            arms[name].advance(steps)
            seconds[name].append(time.perf_counter() - began)
    for arm in arms.values():
        arm.close()
    bench.baton.say("compared", **seconds)


if __name__ == "__main__":
    sys.exit(in_worker.run(__file__, sys.argv[1]))
