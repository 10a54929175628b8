"""How each training image is augmented in each epoch, drawn once for all frameworks."""

from __future__ import annotations

import math

import numpy as np

from backends.augmentation import BRIGHTNESS, COLUMNS, FLIP, SATURATION, TOP, WIDTH, crops
from backends.task import DATASETS, Task

#: Second words of the seed; see `bench.data.order`.
FLIP_STREAM, CROP_STREAM, JITTER_STREAM = 6, 7, 8
#: Width over height of a box, and how many are drawn before the whole image is taken: as torchvision's
#: `RandomResizedCrop` has them.
ASPECT_RATIOS = (3 / 4, 4 / 3)
TRIES = 10


def draw_augmentations(n: int, task: Task, seed: int) -> np.ndarray:
    """Draw rows (epochs, n, c) float32 by epoch and image, with the columns of `backends.augmentation`.

    Those of epoch e do not depend on the number of epochs, nor a column on what else the task does.
    """
    rows = np.zeros((task.epochs, n, COLUMNS), np.float32)
    for epoch, row in enumerate(rows):
        flips, boxes, factors = (
            np.random.default_rng([seed, stream, epoch]) for stream in (FLIP_STREAM, CROP_STREAM, JITTER_STREAM)
        )
        if task.flip:
            row[:, FLIP] = flips.random(n) < 0.5
        if crops(task):
            row[:, TOP : WIDTH + 1] = draw_boxes(n, DATASETS[task.dataset][0], task.crop_scale, boxes)
        if task.jitter:
            row[:, BRIGHTNESS : SATURATION + 1] = factors.uniform(1 - task.jitter, 1 + task.jitter, (n, 3))
    return rows


def draw_boxes(n: int, side: int, scale: float, stream: np.random.Generator) -> np.ndarray:
    """Draw boxes (n, 4) int64 in square images, as torchvision's `RandomResizedCrop.get_params` does: top, left, height
    and width in pixels.

    A share of the area, and the logarithm of width over height, are uniform; the first of `TRIES` boxes that lies in
    the image is taken, at a uniform place, and the whole image if none does.

    Args:
        scale: least share of the area.
    """
    area = side**2 * stream.uniform(scale, 1, (n, TRIES))
    least, most = map(math.log, ASPECT_RATIOS)
    ratio = np.exp(stream.uniform(least, most, (n, TRIES)))
    sizes = np.rint(np.sqrt([area / ratio, area * ratio])).astype(np.int64)  # heights and widths
    fits = np.logical_and(*((sizes > 0) & (sizes <= side)))
    first = fits.argmax(axis=1)
    own = np.where(fits.any(axis=1), sizes[:, np.arange(n), first], side)
    places = np.floor(stream.random((2, n)) * (side - own + 1)).astype(np.int64)
    return np.concatenate([places, own]).T
