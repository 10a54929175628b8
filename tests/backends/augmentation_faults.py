"""Faults in how images are augmented, for `tests.backends.recipes`. Each is planted in the backend of the process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np

from backends.base import Trainer
from backends.values import Order

PREPROCESSING = tuple(f"backends.{name}.preprocess" for name in ("pytorch", "tensorflow", "keras", "jax"))


@contextmanager
def transposed() -> Iterator[None]:
    """Images are flipped upside down, and cropped as if width were height."""
    changed = [module for name, module in list(sys.modules.items()) if name in PREPROCESSING]
    with ExitStack() as patches:
        for module in changed:
            swap = partial(_swap, *((2, 3) if "torch" in vars(module) else (1, 2)))
            patches.enter_context(patch.object(module, "augment", _transpose(module.augment, swap)))
        yield


def _transpose(augment: Callable, swap: Callable) -> Callable:
    return lambda images, rows, task: swap(augment(swap(images), rows, task))


def _swap(first: int, second: int, images: Any) -> Any:
    if "tensorflow" in type(images).__module__:
        import tensorflow as tf

        return tf.transpose(images, (0, 2, 1, 3))
    return images.swapaxes(first, second)


@contextmanager
def _pipelines_given(change: Callable[[Order], Order]) -> Iterator[None]:
    """Every input pipeline gets another order than the harness has made."""
    names = ("pytorch", "lightning", "tensorflow", "keras", "jax")
    modules = [sys.modules[name] for name in (f"backends.{name}.trainer" for name in names) if name in sys.modules]
    trainers = {one for module in modules for one in vars(module).values() if isinstance(one, type)}
    with ExitStack() as patches:
        for trainer in trainers:
            if issubclass(trainer, Trainer) and trainer is not Trainer and "start" in vars(trainer):
                patches.enter_context(patch.object(trainer, "start", _give(trainer.start, change)))
        yield


def _give(start: Callable, change: Callable[[Order], Order]) -> Callable:
    return lambda self, images, labels, order: start(self, images, labels, change(order))


def rows_of_another_epoch() -> AbstractContextManager:
    """The pipeline begins with the rows of the second epoch."""
    return _pipelines_given(lambda order: replace(order, augmentations=np.roll(order.augmentations, -1, axis=0)))


def rows_of_other_images() -> AbstractContextManager:
    """The pipeline augments before it shuffles by the rows of images after it has."""
    return _pipelines_given(
        lambda order: replace(
            order, augmentations=np.take_along_axis(order.augmentations, order.permutations[..., None], 1)
        )
    )


@contextmanager
def left_before_top() -> Iterator[None]:
    """The pipeline gives torchvision a box as Pillow has it."""
    from torchvision.transforms import functional

    real = functional.resized_crop

    def resized_crop(image, top, left, *others, **how):
        return real(image, left, top, *others, **how)

    with patch.object(functional, "resized_crop", resized_crop):
        yield


@contextmanager
def own_contrast() -> Iterator[None]:
    """TensorFlow's `adjust_contrast` has a mean for each channel, and limits nothing."""
    from backends.tensorflow import preprocess

    with patch.object(preprocess, "_to_grey", lambda images: images):
        yield


#: What plants each fault, the backends that it is planted in, and the checks that have to name it.
FAULTS: dict[str, tuple[Callable[[], AbstractContextManager], tuple[str, ...], tuple[str, ...]]] = {
    "rows and columns": (
        transposed,
        ("tensorflow", "keras", "keras-torch", "keras-jax", "jax"),
        ("augmentation", "losses", "trajectory"),
    ),
    "means of channels": (own_contrast, ("tensorflow",), ("augmentation", "losses")),
    "left before top": (left_before_top, ("lightning",), ("pipeline order",)),
    "rows and columns of a batch": (transposed, ("lightning",), ("augmentation", "pipeline order")),
    "rows of another epoch": (rows_of_another_epoch, ("keras", "jax", "lightning"), ("pipeline order",)),
    "rows of other images": (rows_of_other_images, ("tensorflow", "keras-jax", "keras-torch"), ("pipeline order",)),
}
