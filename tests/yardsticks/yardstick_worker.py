"""Run a yardstick script in blocks: `python -m tests.yardsticks.yardstick_worker BACKEND JOB.json`.

The script knows nothing of it: its `tick` counts steps, and where a block ends, `tick` hands the baton back
and returns only when it is here again. The block is timed in here, as pytest-benchmark times a round in a worker.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from collections.abc import Generator
from pathlib import Path

from safetensors.numpy import load_file

from bench.channel import Channel
from bench.worker.job import Job
from bench.worker.warmup import BLOCK_SECONDS, MOST_BLOCKS, still_faster

#: More than any measurement needs.
EPOCHS = 1000


class Over(Exception):
    """All blocks are done, or nobody waits for them any more: unwinds the script."""


class Blocks:
    """The `tick` of a script: one subtraction and one comparison a step, but for the ends of blocks."""

    def __init__(self, course: Generator[int, None, None]) -> None:
        self.course = course
        self.left = next(course)

    def __call__(self) -> None:
        self.left -= 1
        if not self.left:
            self.left = next(self.course, 0)
            if not self.left:
                raise Over


def course(channel: Channel, rounds: int) -> Generator[int, None, None]:
    """The steps of each block in turn: warm-up by the harness' own rule, one untimed, `rounds` timed."""
    began = time.perf_counter()
    yield 2
    per_block = max(1, round(2 * BLOCK_SECONDS / max(time.perf_counter() - began, 1e-9)))
    blocks: list[float] = []
    while len(blocks) < MOST_BLOCKS and still_faster(blocks):
        began = time.perf_counter()
        yield per_block
        blocks.append(time.perf_counter() - began)
    channel.send(event="calibrated", step_seconds=min(blocks) / per_block)
    steps = _take(channel)["steps"]
    yield steps
    channel.send(event="ready")
    for _ in range(rounds):
        _take(channel)
        began = time.perf_counter()
        yield steps
        channel.send(event="round", seconds=time.perf_counter() - began)


def _take(channel: Channel) -> dict:
    message = channel.receive()
    if message is None:
        raise Over
    return message


def main(backend: str, job_file: str) -> None:
    """Run the script of `backend` on the images, batch size and number of rounds of a job."""
    job = Job.model_validate_json(Path(job_file).read_text())
    data = load_file(job.data)
    script = importlib.import_module(f"tests.yardsticks.{backend}_script")
    blocks = Blocks(course(Channel.from_descriptor(job.descriptor), job.rounds))
    with contextlib.suppress(Over):
        script.main(data["train_images"], data["train_labels"], job.task.batch_size, EPOCHS, blocks)


if __name__ == "__main__":
    main(*sys.argv[1:])
