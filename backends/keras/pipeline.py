"""The input pipeline: tf.data, as in Keras' transfer-learning guide (resize, batch, prefetch)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from backends.engines.tensorflow.pipeline import (
    Loading,
    free_iterator,
    make_batches_of_epochs,
    make_index_batches,
    normalise_all,
)
from backends.keras import preprocess
from backends.values import Order

__all__ = ["DESCRIPTIONS", "Loading", "free_iterator", "make_loader", "make_resident_loader"]

DESCRIPTIONS = {
    "streamed": "tf.data, autotuned prefetch",
    "normalised": "tf.data, of images in memory that were normalised once, autotuned prefetch",
}


def make_loader(
    images: np.ndarray, labels: np.ndarray, order: Order, transform: Callable, known_length: bool = True
) -> tf.data.Dataset:
    """A loader of the batches of `order`: images (b, s, s, 3), as `transform` prepares them, and labels (b,) int64.

    With `known_length` Keras knows the number of batches, and plans its calls by it. An epoch's images are first copied
    in its order, as the guide's `shuffle` also does. If nothing is resized, there is no `map`: one was measured to take
    some 90 µs of CPU time for a batch of 4.
    """
    with tf.device("CPU"):
        all_images, all_labels = tf.constant(images), tf.constant(labels)

    def one_epoch(permutation: tf.Tensor) -> tf.data.Dataset:
        ordered = tf.gather(all_images, permutation), tf.gather(all_labels, permutation)
        return tf.data.Dataset.from_tensor_slices(ordered).batch(order.batch_size, drop_remainder=order.drop_last)

    batches = make_batches_of_epochs(order, one_epoch, known_length)
    if transform is not preprocess.keep_unchanged:
        batches = batches.map(lambda images, labels: (transform(images), labels), num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)


def make_resident_loader(
    images: np.ndarray, labels: np.ndarray, order: Order, transform: Callable, known_length: bool = True
) -> tf.data.Dataset:
    """A loader of the same batches. All images are transformed before training, and taken by their indices."""
    with tf.device("CPU"):
        inputs, all_labels = normalise_all(images, transform), tf.constant(labels)

    def take(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(inputs, indices), tf.gather(all_labels, indices)

    batches = make_index_batches(order, known_length).map(take, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)
