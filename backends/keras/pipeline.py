"""The input pipeline: tf.data, as Keras' transfer-learning guide sets it up (resize, batch, prefetch)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from backends.engines.tensorflow.pipeline import Loading, batches_of_indices, let_go, normalised, of_every_epoch
from backends.keras import preprocess
from backends.values import Order

__all__ = ["DESCRIPTIONS", "Loading", "let_go", "loader", "resident"]

DESCRIPTIONS = {
    "streamed": "tf.data, autotuned prefetch",
    "normalised": "tf.data, of images in memory that were normalised once, autotuned prefetch",
}


def loader(
    images: np.ndarray, labels: np.ndarray, order: Order, transform: Callable, counted: bool = True
) -> tf.data.Dataset:
    """Batches of `order`: images (b, s, s, 3) as `transform` leaves them and labels (b,) int64.

    Keras plans its calls by their number, where it knows it: `counted` tells it.
    An epoch's images are laid out in its order first, as the guide's `shuffle` does too. Where nothing is resized,
    `transform` changes nothing and adds no operation: a `map` was seen to cost some 90 µs of CPU a batch of 4.
    """
    with tf.device("CPU"):
        all_images, all_labels = tf.constant(images), tf.constant(labels)

    def one_epoch(permutation: tf.Tensor) -> tf.data.Dataset:
        ordered = tf.gather(all_images, permutation), tf.gather(all_labels, permutation)
        return tf.data.Dataset.from_tensor_slices(ordered).batch(order.batch_size, drop_remainder=order.drop_last)

    batches = of_every_epoch(order, one_epoch, counted)
    if transform is not preprocess.unchanged:
        batches = batches.map(lambda images, labels: (transform(images), labels), num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)


def resident(
    images: np.ndarray, labels: np.ndarray, order: Order, transform: Callable, counted: bool = True
) -> tf.data.Dataset:
    """The same batches, of images that are all transformed at once, and taken by their numbers."""
    with tf.device("CPU"):
        inputs, all_labels = normalised(images, transform), tf.constant(labels)

    def take(indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.gather(inputs, indices), tf.gather(all_labels, indices)

    batches = batches_of_indices(order, counted).map(take, num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)
