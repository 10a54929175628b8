"""Preprocessing: raw images to network inputs, resized in the input pipeline, normalised in the model or before it."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from backends.task import DATASETS, Task, Variant


def make_transform(task: Task, variant: Variant) -> Callable[[tf.Tensor], tf.Tensor]:
    """A function of a batch: (n, h, w, 3) uint8 to (n, image_size, image_size, 3) float32, 0..255, resized; and
    normalised if the variant says so.

    For images that have their size already it is `keep_unchanged`: the model's first layer accepts uint8.
    """
    if variant.images == "normalised":
        return _make_rescaling(task)
    size = task.image_size
    if size == DATASETS[task.dataset][0]:
        return keep_unchanged
    resize = keras.layers.Resizing(size, size, interpolation="bilinear", antialias=False)
    return lambda images: resize(tf.cast(images, tf.float32))  # given integers, Resizing would round to integers


def keep_unchanged(images: tf.Tensor) -> tf.Tensor:
    """Return the same images."""
    return images


def make_normalisation(task: Task, variant: Variant) -> keras.Layer:
    """The model's first layer, which makes network inputs of the transformed images."""
    return keras.layers.Identity(name="normalise") if variant.images == "normalised" else _make_rescaling(task)


def _make_rescaling(task: Task) -> keras.Layer:
    """A layer from 0..255 to (x / 255 - mean) / std, by one scale and one offset per channel."""
    mean, std = np.array(task.mean), np.array(task.std)
    return keras.layers.Rescaling((1 / (255 * std)).tolist(), (-mean / std).tolist(), name="normalise")
