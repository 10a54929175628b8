"""Preprocessing: raw images to network inputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from backends.augmentation import FLIP
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
        if task.image_size != DATASETS[task.dataset][0]:
            inputs = tf.image.resize(inputs, (task.image_size, task.image_size), antialias=False)
        if rows is not None:
            inputs = augment(inputs, rows, task)
        return inputs * scale + offset

    return apply


def augment(images: tf.Tensor, rows: tf.Tensor, task: Task) -> tf.Tensor:
    """Images (n, h, w, 3) in 0..255, each augmented by its row of (n, c)."""
    if task.flip:
        flips = rows[:, FLIP, None, None, None] > 0
        images = tf.where(flips, tf.image.flip_left_right(images), images)
    return images
