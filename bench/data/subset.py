"""Subset: some of a data set's images, drawn from the task's seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.data.dataset import Dataset
from bench.errors import UserError

#: Second word of the seed, one for training images and one for test images, so that different draws use different
#: random numbers.
TRAIN_STREAM, TEST_STREAM = 1, 5


def limit_training_images(dataset: Dataset, n: int | None, seed: int) -> Dataset:
    """A data set with `n` of its training images, in their original order; None keeps all. Test images stay.

    Raises:
        UserError: it has fewer than `n`.
    """
    size = len(dataset.train_images)
    if n is None:
        return dataset
    if n > size:
        raise UserError(f"{dataset.name} has {size} training images, not {n}: use {size} or fewer")
    chosen = _draw_indices(size, n, seed, TRAIN_STREAM)
    return replace(
        dataset,
        train_images=dataset.train_images[chosen],
        train_labels=dataset.train_labels[chosen],
        file_numbers=chosen,
        source=f"{dataset.source}, {n} of {size} training images",
        file=None,
    )


def limit_test_images(dataset: Dataset, n: int | None, seed: int) -> Dataset:
    """A data set with at most `n` of its test images, in their original order; None keeps all. Training images stay."""
    size = len(dataset.test_images)
    if n is None or n >= size:
        return dataset
    chosen = _draw_indices(size, n, seed, TEST_STREAM)
    return replace(
        dataset,
        test_images=dataset.test_images[chosen],
        test_labels=dataset.test_labels[chosen],
        source=f"{dataset.source}, {n} of {size} test images",
        file=None,
    )


def _draw_indices(size: int, n: int, seed: int, stream: int) -> np.ndarray:
    return np.sort(np.random.default_rng([seed, stream]).choice(size, n, replace=False))
