"""Preprocessing: raw images to network inputs."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from backends.augmentation import FLIP
from backends.task import DATASETS, Task


def make_transform(task: Task) -> Callable[..., jax.Array]:
    """A function of a batch: (n, h, w, 3) uint8 to (n, image_size, image_size, 3) float32, scaled, resized,
    normalised; and augmented by rows (n, c) before that, if they are given.
    """
    mean, std = jnp.array(task.mean), jnp.array(task.std)

    def apply(images: jax.Array, rows: jax.Array | None = None) -> jax.Array:
        inputs = images.astype(jnp.float32) / 255
        if task.image_size != DATASETS[task.dataset][0]:
            shape = (len(images), task.image_size, task.image_size, 3)
            inputs = jax.image.resize(inputs, shape, "bilinear", antialias=False)
        if rows is not None:
            inputs = augment(inputs, rows, task)
        return (inputs - mean) / std

    return apply


def augment(images: jax.Array, rows: jax.Array, task: Task) -> jax.Array:
    """Images (n, h, w, 3) in 0..1, each augmented by its row of (n, c)."""
    if task.flip:
        flips = rows[:, FLIP, None, None, None] > 0
        images = jnp.where(flips, jnp.flip(images, 2), images)
    return images
