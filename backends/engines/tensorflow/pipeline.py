"""Parts of tf.data input pipelines: batches in a given order, images normalised once, and the release of iterators."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from backends.base import Training
from backends.image_files import ImageFiles
from backends.values import Order

#: Freeing an iterator takes a millisecond if no thread of it sleeps; finding it by garbage collection takes 0.25 s.
FREE_SECONDS = 0.5
#: Images that are normalised at once.
NORMALISED_AT_ONCE = 4096


def make_index_batches(order: Order, known_length: bool = True) -> tf.data.Dataset:
    """The indices (b,) int64 of each batch of `order`; `known_length` as in `make_batches_of_epochs`."""

    def one_epoch(permutation: tf.Tensor) -> tf.data.Dataset:
        indices = tf.data.Dataset.from_tensor_slices(permutation)
        return indices.batch(order.batch_size, drop_remainder=order.drop_last)

    return make_batches_of_epochs(order, one_epoch, known_length)


def make_batches_of_epochs(
    order: Order, one_epoch: Callable[[tf.Tensor], tf.data.Dataset], known_length: bool = True
) -> tf.data.Dataset:
    """The batches of all epochs: `one_epoch` makes those of one permutation of `order`.

    With `known_length` the data set knows the number of its batches. Without it, Keras begins one batch more than there
    are.
    """
    with tf.device("CPU"):
        permutations = tf.constant(order.permutations)
    batches = tf.data.Dataset.from_tensor_slices(permutations).flat_map(one_epoch)
    return batches.apply(tf.data.experimental.assert_cardinality(order.steps)) if known_length else batches


def hold_rows(order: Order) -> tuple[tuple[tf.Tensor, ...], Order]:
    """The rows that images are augmented by, if there are any, and the order of their numbers (`Order.number_rows`)."""
    if order.augmentations is None:
        return (), order
    with tf.device("CPU"):
        return (tf.constant(order.rows),), order.number_rows()


def make_decoder(files: ImageFiles) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function from the number of a file to its pixels (crop, crop, 3) uint8, by the operations of Keras'
    `image_dataset_from_directory`, framed as `backends.image_files.frame`. All files are held in host memory.
    """
    with tf.device("CPU"):
        contents = tf.constant(list(files))

    def decode(number: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(contents[number], channels=3, expand_animations=False)
        sides = tf.shape(image)[:2]
        sides = files.resize * sides // tf.reduce_min(sides)
        image = tf.clip_by_value(tf.round(tf.image.resize(image, sides, antialias=True)), 0, 255)
        top, left = tf.unstack(tf.cast(tf.round((sides - files.crop) / 2), tf.int32))
        image = image[top : top + files.crop, left : left + files.crop]
        return tf.ensure_shape(tf.cast(image, tf.uint8), (files.crop, files.crop, 3))

    return decode


def make_file_batches(
    files: ImageFiles, labels: np.ndarray, order: Order, known_length: bool = True
) -> tf.data.Dataset:
    """The batches of `order`: decoded images (b, crop, crop, 3) uint8, the rows (b, c) that they are to be augmented
    by, if there are any, and labels (b,).
    """
    decode = make_decoder(files)
    with tf.device("CPU"):
        all_labels = tf.constant(labels)
    rows, order = hold_rows(order)

    def read(number: tf.Tensor) -> tuple[tf.Tensor, ...]:
        index = number % len(files)
        return decode(index), *(one[number] for one in rows), all_labels[index]

    def one_epoch(permutation: tf.Tensor) -> tf.data.Dataset:
        images = tf.data.Dataset.from_tensor_slices(permutation).map(read, num_parallel_calls=tf.data.AUTOTUNE)
        return images.batch(order.batch_size, drop_remainder=order.drop_last)

    return make_batches_of_epochs(order, one_epoch, known_length)


def normalise_all(images: np.ndarray, transform: Callable) -> tf.Tensor:
    """All images as network inputs (n, s, s, 3) float32, on the device; they are transformed in parts."""
    parts = np.array_split(images, -(-len(images) // NORMALISED_AT_ONCE))
    return tf.concat([transform(tf.constant(part)) for part in parts], 0)


def free_iterator(free: Callable[[], object]) -> None:
    """Free an iterator in a thread of its own, and wait at most `FREE_SECONDS` for it.

    tf.data's tuning thread sleeps for 10 ms, 20 ms and so on, twice as long each time, and sometimes misses the end of
    its iterator. The thread that frees the iterator then waits until it wakes, for 8 s and for 58 s after fine-tunes of
    30 s (TensorFlow 2.21), without using the CPU. Other threads need not wait.
    """
    thread = threading.Thread(target=free, name="free iterator", daemon=True)
    thread.start()
    thread.join(FREE_SECONDS)


class Loading(Training):
    """Takes batches from a data set, or another iterable, and discards them."""

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
        free_iterator(held.clear)
