"""In a worker's own process: extraction, alternating with each of the backbone's convolutions by itself.

`python -m tests.yardsticks.extraction_in_worker JOB.json` runs it.
"""

from __future__ import annotations

import importlib
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import pytest

from backends.convolutions import list_convolutions as of_backbone
from backends.task import Task
from bench.worker import plugin
from bench.worker.extraction.feature_extraction import extract
from tests.yardsticks import in_worker

#: The framework whose kernels a backend uses.
ENGINES = {"keras": "tensorflow", "keras-torch": "pytorch", "keras-jax": "jax", "lightning": "pytorch"}
BATCHES = (32, 128, 256)
#: Calls of a form until so many seconds are over; the quickest one counts.
SECONDS = 0.05


class Convolution(NamedTuple):
    """Channels in and out, width of the kernel, stride, and width of the map."""

    into: int
    out: int
    kernel: int
    stride: int
    side: int

    @property
    def after(self) -> int:
        """Width of the map of the outputs."""
        return -(-self.side // self.stride)

    @property
    def flops(self) -> int:
        """An image, two a multiplication, padding included."""
        return 2 * self.into * self.out * self.kernel**2 * self.after**2


def convolutions(task: Task) -> Counter[Convolution]:
    """The backbone's, each with how many times it is there."""
    return Counter(
        Convolution(layer.in_channels, layer.out_channels, layer.kernel, layer.stride, layer.side)
        for layer in of_backbone(task.network, task.image_size)
    )


def quickest(call: Callable[[], object]) -> float:
    """Seconds of the quickest call."""
    call()
    end, best = time.perf_counter() + SECONDS, float("inf")
    while (began := time.perf_counter()) < end:
        call()
        best = min(best, time.perf_counter() - began)
    return best


def test_extraction(case: str, session: plugin.CaseSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADTOHEAD_HOME", str(session.job.folder))  # nothing is known of former trials
    engine = importlib.import_module(
        f"tests.yardsticks.{ENGINES.get(session.job.backend, session.job.backend)}_convolutions"
    )
    images = session.train[0]
    found = convolutions(session.task)
    sums, extractions, forms = [], [], {}
    for _ in range(session.job.rounds):
        total = 0.0
        for one, times in found.items():
            seconds = {
                f"{form} at {batch}": quickest(call) / batch
                for batch in BATCHES
                for form, call in engine.forms(one, batch, session.job.variant.precision)
            }
            best = min(seconds, key=lambda form: seconds[form])
            forms["-".join(map(str, one))] = best
            total += times * seconds[best]
        sums.append(total)
        began = time.perf_counter()
        # With the making of its form, as in a fine-tune; the second time with what the trial found the first time.
        extract(session.trainer, images, images[:1], session.job.backend, session.baton)
        extractions.append((time.perf_counter() - began) / len(images))
    flops = sum(one.flops * times for one, times in found.items())
    session.baton.send("extracted", convolutions=sums, extraction=extractions, forms=forms, flops=flops)


if __name__ == "__main__":
    sys.exit(in_worker.run(__file__, sys.argv[1]))
