"""Preprocessing: raw images to network inputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

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


def make_transform(task: Task) -> Callable[..., tf.Tensor]:
    """A function of a batch: (n, h, w, 3) uint8 to (n, image_size, image_size, 3) float32, resized, scaled, normalised;
    and augmented by rows (n, c) before that, if they are given.

    (x / 255 - mean) / std is computed as one scale and one offset per channel: the dispatch of an operation in a `map`
    takes as long as its computation.
    """
    mean, std = np.array(task.mean), np.array(task.std)
    scale, offset = tf.constant(1 / (255 * std), tf.float32), tf.constant(-mean / std, tf.float32)

    def apply(images: tf.Tensor, rows: tf.Tensor | None = None) -> tf.Tensor:
        inputs = tf.cast(images, tf.float32)
        is_cropped = rows is not None and crops(task)
        if task.image_size != DATASETS[task.dataset][0] and not is_cropped:
            inputs = tf.image.resize(inputs, (task.image_size, task.image_size), antialias=False)
        if rows is not None:
            inputs = augment(inputs, rows, task)
        return inputs * scale + offset

    return apply


def augment(images: tf.Tensor, rows: tf.Tensor, task: Task) -> tf.Tensor:
    """Images (n, h, w, 3) in 0..255, each augmented by its row of (n, c)."""
    if crops(task):
        images = _resample(images, rows[:, TOP], rows[:, HEIGHT], task.image_size, 1)
        images = _resample(images, rows[:, LEFT], rows[:, WIDTH], task.image_size, 2)
    if task.flip:
        flips = rows[:, FLIP, None, None, None] > 0
        images = tf.where(flips, tf.image.flip_left_right(images), images)
    if task.jitter:
        brightness, contrast, saturation = (
            rows[:, column, None, None, None] for column in (BRIGHTNESS, CONTRAST, SATURATION)
        )
        images = _blend(images, 0.0, brightness)
        means = tf.reduce_mean(_to_grey(images), axis=(1, 2), keepdims=True)
        images = _blend(images, means, contrast)
        images = _blend(images, _to_grey(images), saturation)
    return images


def _resample(images: tf.Tensor, start: tf.Tensor, length: tf.Tensor, side: int, axis: int) -> tf.Tensor:
    """Along an axis of images (n, h, w, 3), `length` (n,) pixels of each from `start` (n,) on, resized to `side`."""
    # Twice the side times a centre's place is a whole number: no framework rounds it in a way of its own.
    length, start = (tf.cast(part[:, None], tf.int32) for part in (length, start))
    twice = (2 * tf.range(side) + 1) * length - side
    twice = tf.minimum(tf.maximum(twice, 0), 2 * side * (length - 1))
    before = twice // (2 * side)
    after = tf.minimum(before + 1, length - 1)
    share = tf.cast(twice - before * 2 * side, tf.float32) / (2 * side)
    share = share[:, :, None, None] if axis == 1 else share[:, None, :, None]
    first, second = (_take(images, start + part, axis) for part in (before, after))
    return first * (1 - share) + second * share


def _take(images: tf.Tensor, places: tf.Tensor, axis: int) -> tf.Tensor:
    """Pixels at `places` (n, side) of an axis."""
    return tf.gather(images, places, axis=axis, batch_dims=1)


def _to_grey(images: tf.Tensor) -> tf.Tensor:
    return tf.reduce_sum(images * tf.constant(GREY), axis=3, keepdims=True)


def _blend(images: tf.Tensor, others: tf.Tensor | float, factors: tf.Tensor) -> tf.Tensor:
    return tf.clip_by_value(factors * images + (1 - factors) * others, 0, 255)
