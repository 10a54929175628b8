"""Faults that are planted in Keras on PyTorch and on JAX: in the model, in the input pipeline and in the loss."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np

from backends.values import Order


@contextmanager
def swapped_channels() -> Iterator[None]:
    """Blue, green, red: as OpenCV reads images."""
    import keras

    from backends.keras import preprocess

    real = preprocess.add_normalisation

    def add_normalisation(inputs, *arguments):
        return real(keras.ops.flip(inputs, axis=-1), *arguments)

    with patch.object(preprocess, "add_normalisation", add_normalisation):
        yield


@contextmanager
def other_order() -> Iterator[None]:
    """The pipeline shuffles for itself, as `PyDataset`s of tutorials do when an epoch begins."""
    from backends.keras.batches import Batches

    real = Batches.__init__

    def shuffled(self, images, labels, order, classes):
        drawn = np.random.default_rng(1).permuted(order.permutations, axis=1)
        real(self, images, labels, Order(drawn, order.batch_size, order.drop_last), classes)

    with patch.object(Batches, "__init__", shuffled):
        yield
