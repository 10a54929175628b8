"""How near the extraction of features comes to the best rate of the backbone's convolutions on this machine.

The best rate is put together: each convolution by itself, in every form that the framework has for it and at several
batch sizes, with the weights and images that suit it; the quickest of each, added up, is the least time an image takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from backends.task import Variant
from bench.plan import variants
from tests.yardsticks import case
from tests.yardsticks.extent import Extent
from tests.yardsticks.partner import Partner
from tests.yardsticks.target import Target, of_ratios

WANTED = 0.6
#: All of CIFAR-10: making the form that images are extracted with is part of the time, as in a fine-tune.
IMAGES, ROUNDS = 60_000, 2
PRECISIONS = ("fp32", "bf16")


def targets(extent: Extent) -> Iterator[Target]:
    """The share of the best rate, by backend and precision."""
    images = case.write_images(extent.folder("images"), 64 if extent.quick else IMAGES)
    for backend in extent.backends:
        for precision in PRECISIONS:
            variant = case.variant(**({} if precision == "fp32" else {"precision": precision}))
            if variants.explain_unsupported(backend, variant, case.TASK) is None:
                yield _target(backend, precision, variant, images, extent)


def _target(backend: str, precision: str, variant: Variant, images: Path, extent: Extent) -> Target:
    ys, rates = [], []
    for number in range(extent.launches):
        job = case.job(backend, images, 1 if extent.quick else ROUNDS, variant=variant)
        with Partner(job, "tests.yardsticks.extraction_in_worker") as worker:
            message = worker.wait_for("extracted")
        # Both are the quickest of some: what another program takes from one of them is no property of the machine.
        ys.append(math.log(min(message["convolutions"]) / min(message["extraction"])))
        rates.append(1 / min(message["extraction"]))
        convolutions = 1 / min(message["convolutions"])
        extent.say(
            f"{backend} {precision}, launch {number + 1}: {rates[-1]:,.0f} images/s; the convolutions alone "
            f"{convolutions:,.0f}, which with their padding are {message['flops'] * convolutions / 1e9:,.0f} GFLOP/s"
        )
        extent.say("    quickest: " + ", ".join(f"{name} {form}" for name, form in message["forms"].items()))
    note = f"{median(rates):,.0f} images/s"
    return of_ratios(f"{backend}, {precision}: extraction / best rate", ys, least=WANTED, style=".1%", note=note)
