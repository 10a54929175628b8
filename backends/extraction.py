"""Extraction: the forms in which a backend can compute the features of many images, with batch norm `frozen`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from backends.convolutions import list_convolutions
from backends.exported.exported_backbone import ExportedBackbone
from backends.exported.network_graph import to_sizes
from backends.task import Task, Variant

#: On a CPU, the most bytes of a batch's largest map. glibc returns blocks of 32 MiB and more to the system as soon as
#: they are free (mallopt(3), M_MMAP_THRESHOLD), and every use of a new one begins with page faults; a quarter is left
#: for padding. Lite0 at 224 px in PyTorch, images/s by CPU time of one thread on an AMD EPYC, in batches of 1, 2, 4 and
#: 8: 82, 86, 82 and 60; at 96 px, in batches of 8, 16, 32 and 64: 465, 457, 433 and 342.
MOST_MAP_BYTES = 24 * 2**20
#: On a GPU, pixels in a batch (256 images of 32 px), and the fewest images in one.
BATCH_PIXELS, SMALLEST_BATCH = 256 * 32**2, 32

#: Computes the pooled features (n, d) float32 of a batch of raw images (n, h, w, 3) uint8; n is the form's batch size.
Extractor = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class ExtractionForm:
    """A form of extraction.

    Attributes:
        name: unique in its backend; what a trial of the form found is kept under it.
        variant: how the backbone is executed; precision, threads and device are those of the case.
        batch_size: images that are computed at once. Every batch has so many, because compiled code may be made for
            one shape.
        making_s: about how many seconds it takes to build and compile, on two cores of an AMD EPYC; it only decides
            whether the form is worth a trial.
    """

    name: str
    variant: Variant
    batch_size: int
    making_s: float


def choose_batch_size(task: Task, variant: Variant) -> int:
    """Choose the images in a batch of the extraction: a power of two."""
    if variant.device != "cpu":
        return max(SMALLEST_BATCH, _round_down(BATCH_PIXELS // task.image_size**2))
    numbers = _count_largest_map(task)
    size = 2 if variant.precision in ("bf16", "fp16") else 4
    return _round_down(MOST_MAP_BYTES // (numbers * size))


def _count_largest_map(task: Task) -> int:
    """The numbers in the largest map of an image."""
    if isinstance(task.network, ExportedBackbone):
        return max(math.prod(to_sizes(one.shape, 1)) for one in task.network.graph.operations)
    return max(layer.out_channels * layer.out_side**2 for layer in list_convolutions(task.network, task.image_size))


def _round_down(number: int) -> int:
    """The largest power of two up to `number`, and at least 1."""
    return 1 << max(0, number.bit_length() - 1)
