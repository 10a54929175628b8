"""Preprocessing: raw images to network inputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from backends.task import DATASETS, Task


def make_transform(task: Task) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function of a batch: (n, h, w, 3) uint8 to (n, image_size, image_size, 3) float32, resized, scaled, normalised.

    (x / 255 - mean) / std is computed as one scale and one offset per channel: the dispatch of an operation in a `map`
    takes as long as its computation.
    """
    mean, std = np.array(task.mean), np.array(task.std)
    scale, offset = tf.constant(1 / (255 * std), tf.float32), tf.constant(-mean / std, tf.float32)

    def apply(images: tf.Tensor) -> tf.Tensor:
        inputs = tf.cast(images, tf.float32)
        if task.image_size != DATASETS[task.dataset][0]:
            inputs = tf.image.resize(inputs, (task.image_size, task.image_size), antialias=False)
        return inputs * scale + offset

    return apply
