"""tf.data: the order of an epoch's batches, images that are normalised once, and iterators that are freed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from backends.base import Training
from backends.values import Order

#: Freeing an iterator takes a millisecond where nobody sleeps, and finding it among garbage a quarter of a second.
LET_GO_SECONDS = 0.5
#: Images that are normalised at once.
AT_ONCE = 4096


def batches_of_indices(order: Order, counted: bool = True) -> tf.data.Dataset:
    """The indices (b,) int64 of each batch of `order`."""

    def one_epoch(permutation: tf.Tensor) -> tf.data.Dataset:
        indices = tf.data.Dataset.from_tensor_slices(permutation)
        return indices.batch(order.batch_size, drop_remainder=order.drop_last)

    return of_every_epoch(order, one_epoch, counted)


def of_every_epoch(
    order: Order, one_epoch: Callable[[tf.Tensor], tf.data.Dataset], counted: bool = True
) -> tf.data.Dataset:
    """The batches that `one_epoch` makes of each permutation of `order`; `counted` says how many they are.

    Where their number is unknown, Keras begins one batch more, and finds out that there is none.
    """
    with tf.device("CPU"):
        permutations = tf.constant(order.permutations)
    batches = tf.data.Dataset.from_tensor_slices(permutations).flat_map(one_epoch)
    return batches.apply(tf.data.experimental.assert_cardinality(order.steps)) if counted else batches


def normalised(images: np.ndarray, transform: Callable) -> tf.Tensor:
    """All images as network inputs (n, s, s, 3) float32, on the device, transformed a part at a time."""
    parts = np.array_split(images, -(-len(images) // AT_ONCE))
    return tf.concat([transform(tf.constant(part)) for part in parts], 0)


def let_go(free: Callable[[], object]) -> None:
    """Free an iterator in a thread, and wait a moment for that.

    The thread by which tf.data tunes itself sleeps for 10 ms, 20 ms and so on, twice as long each time, and now and
    then misses that its iterator ends: who frees it then waits until it wakes, for 8 s and for 58 s after fine-tunes of
    30 s (TensorFlow 2.21), without using the CPU. Nobody else has to.
    """
    thread = threading.Thread(target=free, name="let go", daemon=True)
    thread.start()
    thread.join(LET_GO_SECONDS)


class Loading(Training):
    """Batches taken from a data set, or another iterable, one after the other, and let go again."""

    def __init__(self, batches: Iterable) -> None:
        self.batches = iter(batches)

    def advance(self, steps: int) -> float:
        """See `Trainer.start_loading`."""
        for _ in range(steps):
            next(self.batches)
        return 0.0

    def close(self) -> None:
        """See `Training.close`."""
        held, self.batches = [self.batches], iter(())
        let_go(held.clear)
