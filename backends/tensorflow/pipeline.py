"""The input pipeline: tf.data, as in TensorFlow's performance guide (batch, vectorised map, prefetch)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from backends.engines.tensorflow.pipeline import (
    Loading,
    free_iterator,
    hold_rows,
    make_decoder,
    make_file_batches,
    make_index_batches,
    normalise_all,
)
from backends.image_files import ImageFiles
from backends.values import Order

__all__ = ["DESCRIPTIONS", "Loading", "free_iterator", "make_decoder", "make_loader", "normalise_all"]

DESCRIPTIONS = {
    "streamed": "tf.data, vectorised map, autotuned prefetch",
    "encoded": "tf.data, tf.io.decode_image in a parallel map, vectorised map, autotuned prefetch",
    "resident": "all images on the device, each batch taken in the compiled step",
    "normalised": "all images on the device, normalised once, each batch taken in the compiled step",
}


def make_loader(
    images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order, transform: Callable
) -> tf.data.Dataset:
    """A loader of the batches of `order`: inputs (b, s, s, 3) float32 and labels (b,) int64."""
    if isinstance(images, ImageFiles):
        decoded = make_file_batches(images, labels, order)
        batches = decoded.map(lambda *batch: (transform(*batch[:-1]), batch[-1]), num_parallel_calls=tf.data.AUTOTUNE)
        return batches.prefetch(tf.data.AUTOTUNE)
    with tf.device("CPU"):
        all_images, all_labels = tf.constant(images), tf.constant(labels)

    rows, order = hold_rows(order)

    def take(numbers: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        indices = numbers % len(images) if rows else numbers
        own = (tf.gather(one, numbers) for one in rows)
        return transform(tf.gather(all_images, indices), *own), tf.gather(all_labels, indices)

    return make_index_batches(order).map(take, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)
