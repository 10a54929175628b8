"""Subset: a few training images of a data set, drawn from the task's seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bench.data.dataset import Dataset
from bench.errors import UserError

#: Second word of the seed, so that what is drawn for one purpose never repeats another's numbers.
STREAM = 1


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
    chosen = np.sort(np.random.default_rng([seed, STREAM]).choice(size, n, replace=False))
    return replace(
        dataset,
        train_images=dataset.train_images[chosen],
        train_labels=dataset.train_labels[chosen],
        source=f"{dataset.source}, {n} of {size} training images",
    )
