"""How near the extraction of features comes to its best form, and to the best rate of the backbone's convolutions.

The best form is the quickest of all that the backend has, each made and timed here, in turn with the one that a trial
chose. The best rate is put together: each convolution by itself, in every form that the framework has for it and at
several batch sizes, with the weights and images that suit it; the quickest of each, added up, is the least time an
image takes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from backends.task import Task, Variant
from bench.plan import variants
from tests.yardsticks import case
from tests.yardsticks.extent import Extent
from tests.yardsticks.partner import Partner
from tests.yardsticks.target import Target, of_ratios

WANTED, WANTED_OF_FORMS = 0.6, 0.9
#: All of CIFAR-10: making the form that images are extracted with is part of the time, as in a fine-tune.
IMAGES, ROUNDS = 60_000, 2
PRECISIONS = ("fp32", "bf16")
#: The networks whose forms are compared.
TASKS = (case.TASK, case.task(backbone="efficientnet_lite0", image_size=96))
#: Images in the file for it: some batches are taken from them.
FEW = 512


def targets(extent: Extent) -> Iterator[Target]:
    """The shares of the best form and of the best rate, by backend and precision."""
    few = case.write_images(extent.folder("few"), FEW)
    images = case.write_images(extent.folder("images"), 64 if extent.quick else IMAGES)
    for backend in extent.backends:
        for precision in PRECISIONS:
            variant = case.variant(**({} if precision == "fp32" else {"precision": precision}))
            for task in TASKS:
                if variants.explain_unsupported(backend, variant, task) is None:
                    yield _of_forms(backend, precision, variant, task, few, extent)
            if variants.explain_unsupported(backend, variant, case.TASK) is None:
                yield _target(backend, precision, variant, images, extent)


def _of_forms(backend: str, precision: str, variant: Variant, task: Task, images: Path, extent: Extent) -> Target:
    ys, rates = [], []
    for number in range(extent.launches):
        count = FEW if extent.quick else IMAGES
        job = case.job(backend, images, 1, task, variant, seeds=(count,))
        with Partner(job, "tests.yardsticks.forms_in_worker") as worker:
            found = worker.wait_for("forms")
        best, chosen = min(found["image_s"].values()), found["image_s"][found["chosen"]]
        ys.append(math.log(best / chosen))
        rates.append(1 / chosen)
        each = ", ".join(f"{form} {1 / image_s:,.0f}" for form, image_s in found["image_s"].items())
        extent.say(
            f"{backend} {precision} {task.backbone} at {task.image_size} px, launch {number + 1}: {found['chosen']} of "
            f"{each} images/s; choosing and making it took {found['choosing_s']:.1f} s"
        )
    name = f"{backend}, {precision}, {task.backbone} at {task.image_size} px: extraction / best form"
    return of_ratios(name, ys, least=WANTED_OF_FORMS, style=".1%", note=f"{median(rates):,.0f} images/s")


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
