"""Preprocessing: raw images to network inputs, normalised in the model or before it, resized in either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from backends.augmentation import (
    BRIGHTNESS,
    CONTRAST,
    FLIP,
    GREY,
    HEIGHT,
    LEFT,
    SATURATION,
    TOP,
    WIDTH,
    augments,
    crops,
)
from backends.task import DATASETS, Task, Variant


def make_transform(task: Task, variant: Variant, resizes: bool) -> Callable[..., Any]:
    """A function of a batch: (n, h, w, 3) uint8 to (n, image_size, image_size, 3) float32, 0..255, resized; augmented
    by rows (n, c), if they are given; and normalised if the variant says so.

    For images that have their size already, or that the model `resizes`, it is `keep_unchanged`: the model's first
    layer accepts uint8.
    """
    if variant.images == "normalised":
        return _make_rescaling(task)
    if augments(task):
        return _make_augmenting(task)
    if resizes or not _needs_resizing(task):
        return keep_unchanged
    resize = _make_resizing(task)
    return lambda images: resize(keras.ops.cast(images, "float32"))  # given integers, it would round to integers


def augment(images: Any, rows: Any, task: Task) -> Any:
    """Images (n, h, w, 3) in 0..255, each augmented by its row of (n, c)."""
    if crops(task):
        images = _resample(images, rows[:, TOP], rows[:, HEIGHT], task.image_size, 1)
        images = _resample(images, rows[:, LEFT], rows[:, WIDTH], task.image_size, 2)
    if task.flip:
        flips = rows[:, FLIP, None, None, None] > 0
        images = keras.ops.where(flips, keras.ops.flip(images, 2), images)
    if task.jitter:
        brightness, contrast, saturation = (
            rows[:, column, None, None, None] for column in (BRIGHTNESS, CONTRAST, SATURATION)
        )
        images = _blend(images, 0.0, brightness)
        means = keras.ops.mean(_to_grey(images), axis=(1, 2), keepdims=True)
        images = _blend(images, means, contrast)
        images = _blend(images, _to_grey(images), saturation)
    return images


def _resample(images: Any, start: Any, length: Any, side: int, axis: int) -> Any:
    """Along an axis of images (n, h, w, 3), `length` (n,) pixels of each from `start` (n,) on, resized to `side`."""
    # Twice the side times a centre's place is a whole number: no framework rounds it in a way of its own.
    length, start = (keras.ops.cast(part[:, None], "int32") for part in (length, start))
    twice = (2 * keras.ops.arange(side) + 1) * length - side
    twice = keras.ops.minimum(keras.ops.maximum(twice, 0), 2 * side * (length - 1))
    before = twice // (2 * side)
    after = keras.ops.minimum(before + 1, length - 1)
    share = keras.ops.cast(twice - before * 2 * side, "float32") / (2 * side)
    share = share[:, :, None, None] if axis == 1 else share[:, None, :, None]
    first, second = (_take(images, start + part, axis) for part in (before, after))
    return first * (1 - share) + second * share


def _take(images: Any, places: Any, axis: int) -> Any:
    """Pixels at `places` (n, side) of an axis."""
    index = keras.ops.expand_dims(places, (2, 3) if axis == 1 else (1, 3))
    return keras.ops.take_along_axis(images, index, axis)


def _to_grey(images: Any) -> Any:
    return keras.ops.sum(images * keras.ops.array(GREY), axis=3, keepdims=True)


def _blend(images: Any, others: Any | float, factors: Any) -> Any:
    return keras.ops.clip(factors * images + (1 - factors) * others, 0, 255)


def keep_unchanged(images: Any) -> Any:
    """Return the same images."""
    return images


def add_normalisation(inputs: Any, task: Task, variant: Variant) -> Any:
    """The model's first layers, which make network inputs of the transformed images."""
    if variant.images == "normalised":
        return keras.layers.Identity(name="normalise")(inputs)
    if inputs.shape[1] != task.image_size:
        inputs = _make_resizing(task)(inputs)
    return _make_rescaling(task)(inputs)


def get_input_side(task: Task, resizes: bool) -> int:
    """Width and height of the model's inputs: of the raw images if the model resizes them."""
    return DATASETS[task.dataset][0] if resizes else task.image_size


def _make_augmenting(task: Task) -> Callable[..., Any]:
    resize = _make_resizing(task) if _needs_resizing(task) else keep_unchanged

    def apply(images: Any, rows: Any = None) -> Any:
        inputs = keras.ops.cast(images, "float32")
        if rows is None or not crops(task):
            inputs = resize(inputs)
        return inputs if rows is None else augment(inputs, rows, task)

    return apply


def _needs_resizing(task: Task) -> bool:
    return task.image_size != DATASETS[task.dataset][0]


def _make_resizing(task: Task) -> keras.Layer:
    size = task.image_size
    return keras.layers.Resizing(size, size, interpolation="bilinear", antialias=False)


def _make_rescaling(task: Task) -> keras.Layer:
    """A layer from 0..255 to (x / 255 - mean) / std, by one scale and one offset per channel."""
    mean, std = np.array(task.mean), np.array(task.std)
    return keras.layers.Rescaling((1 / (255 * std)).tolist(), (-mean / std).tolist(), name="normalise")
