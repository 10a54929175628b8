"""In a worker's own process: the harness' rounds, alternating with the same steps in a plain loop.

`python -m tests.yardsticks.plain_loop JOB.json` runs it, as `bench.worker` runs the real measurements.
"""

from __future__ import annotations

import sys
import time

from bench.measure.conductor import count_run_in_steps
from bench.worker import plugin
from bench.worker.warmup import warm_up
from tests.yardsticks import in_worker
from tests.yardsticks.case import ROUND_SECONDS

#: A plain block is this many rounds long, without a rest, after one that is not timed: the loop under way.
BLOCK = 2
#: Steps ahead, for the length of the input pipeline.
STEPS = 100_000


def test_rounds_against_a_plain_loop(case: str, session: plugin.CaseSession, benchmark) -> None:
    job, baton = session.job, session.baton
    training = session.start_rounds("pipeline", STEPS)
    steps = max(1, round(ROUND_SECONDS / warm_up(training.advance).step_seconds))
    untimed = count_run_in_steps(steps)
    plain: list[float] = []

    def loop() -> None:
        training.advance(steps)
        began = time.perf_counter()
        for _ in range(BLOCK):
            training.advance(steps)
        plain.append((time.perf_counter() - began) / BLOCK)

    rounds_begun = 0

    def setup() -> None:
        nonlocal rounds_begun
        rounds_begun += 1
        if rounds_begun % 2:
            loop()
            baton.give_back("resting")
        baton.take()
        if untimed:
            training.advance(untimed)

    def teardown(_: int) -> None:
        baton.give_back("round")
        if rounds_begun % 2 == 0:
            baton.take()
            loop()

    benchmark.pedantic(training.advance, args=(steps,), setup=setup, teardown=teardown, rounds=job.rounds)
    baton.send("compared", harness=benchmark.stats.stats.data, plain=plain)
    training.close()


if __name__ == "__main__":
    sys.exit(in_worker.run(__file__, sys.argv[1]))
