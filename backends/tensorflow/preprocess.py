"""Raw images to network inputs."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from backends.task import DATASETS, Task


def transform(task: Task) -> Callable[[tf.Tensor], tf.Tensor]:
    """For a batch: (n, h, w, 3) uint8 to (n, image_size, image_size, 3) float32, scaled, resized, normalised."""
    mean, std = tf.constant(task.mean), tf.constant(task.std)

    def apply(images: tf.Tensor) -> tf.Tensor:
        inputs = tf.cast(images, tf.float32) / 255.0
        if task.image_size != DATASETS[task.dataset][0]:
            inputs = tf.image.resize(inputs, (task.image_size, task.image_size), antialias=False)
        return (inputs - mean) / std

    return apply
