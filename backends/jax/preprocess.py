"""Preprocessing: raw images to network inputs."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from backends.augmentation import (
    BRIGHTNESS,
    CONTRAST,
    FLIP,
    GREY,
    HEIGHT,
    LEFT,
    SATURATION,
    TOP,
    WIDTH,
    crops,
)
from backends.task import DATASETS, Task


def make_transform(task: Task) -> Callable[..., jax.Array]:
    """A function of a batch: (n, h, w, 3) uint8 to (n, image_size, image_size, 3) float32, scaled, resized,
    normalised; and augmented by rows (n, c) before that, if they are given.
    """
    mean, std = jnp.array(task.mean), jnp.array(task.std)

    def apply(images: jax.Array, rows: jax.Array | None = None) -> jax.Array:
        inputs = images.astype(jnp.float32) / 255
        is_cropped = rows is not None and crops(task)
        if task.image_size != DATASETS[task.dataset][0] and not is_cropped:
            shape = (len(images), task.image_size, task.image_size, 3)
            inputs = jax.image.resize(inputs, shape, "bilinear", antialias=False)
        if rows is not None:
            inputs = augment(inputs, rows, task)
        return (inputs - mean) / std

    return apply


def augment(images: jax.Array, rows: jax.Array, task: Task) -> jax.Array:
    """Images (n, h, w, 3) in 0..1, each augmented by its row of (n, c)."""
    if crops(task):
        images = _resample(images, rows[:, TOP], rows[:, HEIGHT], task.image_size, 1)
        images = _resample(images, rows[:, LEFT], rows[:, WIDTH], task.image_size, 2)
    if task.flip:
        flips = rows[:, FLIP, None, None, None] > 0
        images = jnp.where(flips, jnp.flip(images, 2), images)
    if task.jitter:
        brightness, contrast, saturation = (
            rows[:, column, None, None, None] for column in (BRIGHTNESS, CONTRAST, SATURATION)
        )
        images = _blend(images, 0.0, brightness)
        means = jnp.mean(_to_grey(images), axis=(1, 2), keepdims=True)
        images = _blend(images, means, contrast)
        images = _blend(images, _to_grey(images), saturation)
    return images


def _resample(images: jax.Array, start: jax.Array, length: jax.Array, side: int, axis: int) -> jax.Array:
    """Along an axis of images (n, h, w, 3), `length` (n,) pixels of each from `start` (n,) on, resized to `side`."""
    # Twice the side times a centre's place is a whole number: no framework rounds it in a way of its own.
    length, start = (part[:, None].astype(jnp.int32) for part in (length, start))
    twice = (2 * jnp.arange(side) + 1) * length - side
    twice = jnp.minimum(jnp.maximum(twice, 0), 2 * side * (length - 1))
    before = twice // (2 * side)
    after = jnp.minimum(before + 1, length - 1)
    share = (twice - before * 2 * side) / (2 * side)
    share = share[:, :, None, None] if axis == 1 else share[:, None, :, None]
    first, second = (_take(images, start + part, axis) for part in (before, after))
    return first * (1 - share) + second * share


def _take(images: jax.Array, places: jax.Array, axis: int) -> jax.Array:
    """Pixels at `places` (n, side) of an axis."""
    index = jnp.expand_dims(places, (2, 3) if axis == 1 else (1, 3))
    return jnp.take_along_axis(images, index, axis)


def _to_grey(images: jax.Array) -> jax.Array:
    return jnp.sum(images * jnp.array(GREY), axis=3, keepdims=True)


def _blend(images: jax.Array, others: jax.Array | float, factors: jax.Array) -> jax.Array:
    return jnp.clip(factors * images + (1 - factors) * others, 0, 1)
