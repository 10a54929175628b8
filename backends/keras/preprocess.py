"""Raw images to network inputs: resized in the input pipeline, normalised by the model's first layer."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from backends.task import DATASETS, Task


def transform(task: Task) -> Callable[[tf.Tensor], tf.Tensor]:
    """For a batch: (n, h, w, 3) uint8 to (n, image_size, image_size, 3) float32, 0..255, resized."""
    size = task.image_size
    resize = keras.layers.Resizing(size, size, interpolation="bilinear", antialias=False)

    def apply(images: tf.Tensor) -> tf.Tensor:
        inputs = tf.cast(images, tf.float32)  # given integers, Resizing would round to integers
        return inputs if size == DATASETS[task.dataset][0] else resize(inputs)

    return apply


def normalise(task: Task) -> keras.Layer:
    """0..255 to (x / 255 - mean) / std, as one scale and one offset per channel."""
    mean, std = np.array(task.mean), np.array(task.std)
    return keras.layers.Rescaling((1 / (255 * std)).tolist(), (-mean / std).tolist(), name="normalise")
