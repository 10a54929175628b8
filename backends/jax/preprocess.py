"""Preprocessing: raw images to network inputs."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from backends.task import DATASETS, Task


def make_transform(task: Task) -> Callable[[jax.Array], jax.Array]:
    """A function of a batch: (n, h, w, 3) uint8 to (n, image_size, image_size, 3) float32, scaled, resized,
    normalised.
    """
    mean, std = jnp.array(task.mean), jnp.array(task.std)

    def apply(images: jax.Array) -> jax.Array:
        inputs = images.astype(jnp.float32) / 255
        if task.image_size != DATASETS[task.dataset][0]:
            shape = (len(images), task.image_size, task.image_size, 3)
            inputs = jax.image.resize(inputs, shape, "bilinear", antialias=False)
        return (inputs - mean) / std

    return apply
