"""The input pipeline: tf.data, as TensorFlow's performance guide sets it up (batch, vectorised map, prefetch)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from backends.engines.tensorflow.pipeline import Loading, batches_of_indices, let_go, normalised
from backends.values import Order

__all__ = ["DESCRIPTIONS", "Loading", "let_go", "loader", "normalised"]

DESCRIPTIONS = {
    "streamed": "tf.data, vectorised map, autotuned prefetch",
    "resident": "all images on the device, each batch taken in the compiled step",
    "normalised": "all images on the device, normalised once, each batch taken in the compiled step",
}


def loader(images: np.ndarray, labels: np.ndarray, order: Order, transform: Callable) -> tf.data.Dataset:
    """Batches of `order`: inputs (b, s, s, 3) float32 and labels (b,) int64."""
    with tf.device("CPU"):
        all_images, all_labels = tf.constant(images), tf.constant(labels)

    def take(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return transform(tf.gather(all_images, indices)), tf.gather(all_labels, indices)

    return batches_of_indices(order).map(take, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
