"""The input pipeline: tf.data, as Keras' transfer-learning guide sets it up (resize, batch, prefetch)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from backends.base import Order
from backends.keras import preprocess
from backends.tensorflow.pipeline import Loading, let_go

__all__ = ["DESCRIPTION", "Loading", "let_go", "loader"]

DESCRIPTION = "tf.data, autotuned prefetch"


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
        permutations = tf.constant(order.permutations)

    def one_epoch(permutation: tf.Tensor) -> tf.data.Dataset:
        ordered = tf.gather(all_images, permutation), tf.gather(all_labels, permutation)
        return tf.data.Dataset.from_tensor_slices(ordered).batch(order.batch_size, drop_remainder=order.drop_last)

    batches = tf.data.Dataset.from_tensor_slices(permutations).flat_map(one_epoch)
    if counted:  # where the length is unknown, Keras begins one batch more, and finds out that there is none
        batches = batches.apply(tf.data.experimental.assert_cardinality(order.steps))
    if transform is not preprocess.unchanged:
        batches = batches.map(lambda images, labels: (transform(images), labels), num_parallel_calls=tf.data.AUTOTUNE)
    return batches.prefetch(tf.data.AUTOTUNE)
