"""Subset: a few images of a data set, drawn from the task's seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.data.dataset import Dataset
from bench.errors import UserError

#: Second word of the seed, one for training images and one for test images, so that what is drawn for one purpose
#: never repeats another's numbers.
TRAIN_STREAM, TEST_STREAM = 1, 5


def limit(dataset: Dataset, n: int | None, seed: int) -> Dataset:
    """`dataset` with `n` of its training images, in their old order; None keeps all. Test images stay.

    Raises:
        UserError: it has fewer than `n`.
    """
    size = len(dataset.train_images)
    if n is None:
        return dataset
    if n > size:
        raise UserError(f"{n} training images were asked for and {dataset.name} has {size}: ask for {size} or fewer")
    chosen = _drawn(size, n, seed, TRAIN_STREAM)
    return replace(
        dataset,
        train_images=dataset.train_images[chosen],
        train_labels=dataset.train_labels[chosen],
        source=f"{dataset.source}, {n} of {size} training images",
    )


def limit_test(dataset: Dataset, n: int | None, seed: int) -> Dataset:
    """`dataset` with at most `n` of its test images, in their old order; None keeps all. Training images stay."""
    size = len(dataset.test_images)
    if n is None or n >= size:
        return dataset
    chosen = _drawn(size, n, seed, TEST_STREAM)
    return replace(
        dataset,
        test_images=dataset.test_images[chosen],
        test_labels=dataset.test_labels[chosen],
        source=f"{dataset.source}, {n} of {size} test images",
    )


def _drawn(size: int, n: int, seed: int, stream: int) -> np.ndarray:
    return np.sort(np.random.default_rng([seed, stream]).choice(size, n, replace=False))
