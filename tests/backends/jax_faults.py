"""Faults that are planted in the backend `jax`: in its Flax modules, in what is differentiated, and in its batches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np

from backends.values import Order


@contextmanager
def other_epsilon() -> Iterator[None]:
    """Every normalisation has EfficientNet's epsilon."""
    from backends.jax import model

    real = model.Layers.norm

    def norm(self, channels):
        made = real(self, channels)
        made.epsilon = 1e-3
        return made

    with patch.object(model.Layers, "norm", norm):
        yield


@contextmanager
def same_padding() -> Iterator[None]:
    """Flax' default padding, `SAME`, which at stride 2 pads on the right and at the bottom."""
    from flax import nnx

    real = nnx.Conv.__init__

    def init(self, *arguments, padding, **options):
        real(self, *arguments, **options)

    with patch.object(nnx.Conv, "__init__", init):
        yield


@contextmanager
def swapped_channels() -> Iterator[None]:
    """Blue, green, red: as OpenCV reads images."""
    from backends.jax import preprocess

    real = preprocess.make_transform

    def make_transform(task):
        right = real(task)
        return lambda images: right(images[..., ::-1])

    with patch.object(preprocess, "make_transform", make_transform):
        yield


@contextmanager
def other_order() -> Iterator[None]:
    """The generator shuffles for itself."""
    from backends.jax import pipeline

    real = pipeline.make_loader

    def make_loader(images, labels, order, transform):
        shuffled = np.random.default_rng(1).permuted(order.permutations, axis=1)
        return real(images, labels, Order(shuffled, order.batch_size, order.drop_last), transform)

    with patch.object(pipeline, "make_loader", make_loader):
        yield


@contextmanager
def trained_gamma() -> Iterator[None]:
    """The filter of what is trained takes the normalisations' scales with it."""
    from backends.jax.trainer import JaxTrainer

    real = JaxTrainer._loss

    def is_trained(self, path, variable):
        return tuple(path) in self.trained or path[-1] == "scale"

    def loss(self, classifier, inputs, labels):
        with patch.object(self, "paths", {"all of it": ()}):  # the backbone is inside what is differentiated
            return real(self, classifier, inputs, labels)

    with patch.object(JaxTrainer, "_is_trained", is_trained), patch.object(JaxTrainer, "_loss", loss):
        yield


@contextmanager
def softmax_twice() -> Iterator[None]:
    """A softmax ends the model, and the loss takes its outputs for logits."""
    from flax import nnx

    real = nnx.Linear.__call__
    with patch.object(nnx.Linear, "__call__", lambda self, inputs: nnx.softmax(real(self, inputs))):
        yield


@contextmanager
def biased_variance() -> Iterator[None]:
    """Flax' own normalisation stores the biased variance."""
    from flax import nnx

    from backends.jax import model

    with patch.object(model.UnbiasedBatchNorm, "__call__", nnx.BatchNorm.__call__):
        yield


@contextmanager
def last_loss() -> Iterator[None]:
    """The pipeline's training reports the loss of the last step for the mean of all."""
    from backends.jax.trainer import JaxTraining

    real = JaxTraining.advance
    with patch.object(JaxTraining, "advance", lambda self, steps: [real(self, 1) for _ in range(steps)][-1]):
        yield
