"""Raw images to network inputs: resized in the input pipeline, normalised by the model's first layer or before it."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from backends.task import DATASETS, Task, Variant


def transform(task: Task, variant: Variant) -> Callable[[tf.Tensor], tf.Tensor]:
    """For a batch: (n, h, w, 3) uint8 to (n, image_size, image_size, 3) float32, 0..255, resized, or normalised where
    the variant says so.

    Where the images have their size already it is `unchanged`: the model's first layer takes uint8 as well.
    """
    if variant.images == "normalised":
        return _rescaling(task)
    size = task.image_size
    if size == DATASETS[task.dataset][0]:
        return unchanged
    resize = keras.layers.Resizing(size, size, interpolation="bilinear", antialias=False)
    return lambda images: resize(tf.cast(images, tf.float32))  # given integers, Resizing would round to integers


def unchanged(images: tf.Tensor) -> tf.Tensor:
    """The same images."""
    return images


def normalise(task: Task, variant: Variant) -> keras.Layer:
    """The model's first layer, which makes network inputs of what `transform` leaves."""
    return keras.layers.Identity(name="normalise") if variant.images == "normalised" else _rescaling(task)


def _rescaling(task: Task) -> keras.Layer:
    """0..255 to (x / 255 - mean) / std, as one scale and one offset per channel."""
    mean, std = np.array(task.mean), np.array(task.std)
    return keras.layers.Rescaling((1 / (255 * std)).tolist(), (-mean / std).tolist(), name="normalise")
