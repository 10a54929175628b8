"""Faults that are planted in the backend `lightning`: in PyTorch's model and loader, or in Lightning's loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest.mock import patch

import numpy as np

from backends.values import Order


@contextmanager
def _backbone_altered(alter: Callable) -> Iterator[None]:
    """Every backbone passes through `alter` once it is built."""
    from backends.pytorch import model

    real = model.build

    def build(task, variant):
        backbone = real(task, variant)
        alter(list(backbone.modules()))
        return backbone

    with patch.object(model, "build", build):
        yield


@contextmanager
def other_epsilon() -> Iterator[None]:
    """Keras' default, 1e-3, where torchvision has 1e-5."""
    import torch

    def alter(modules):
        for module in modules:
            if isinstance(module, torch.nn.BatchNorm2d):
                module.eps = 1e-3

    with _backbone_altered(alter):
        yield


@contextmanager
def same_padding() -> Iterator[None]:
    """A strided convolution is padded on the right and at the bottom, as TensorFlow's `same` does."""
    import torch

    def pad(module, inputs):
        missing = module.kernel_size[0] - 2
        return torch.nn.functional.pad(inputs[0], [missing // 2, missing - missing // 2] * 2)

    def alter(modules):
        for module in modules:
            if isinstance(module, torch.nn.Conv2d) and module.stride[0] == 2 and module.kernel_size[0] > 1:
                module.padding = (0, 0)
                module.register_forward_pre_hook(pad)

    with _backbone_altered(alter):
        yield


@contextmanager
def trained_gamma() -> Iterator[None]:
    """The normalisations' scales are not frozen, and reach the optimizer."""
    import torch

    def alter(modules):
        for module in modules:
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.requires_grad_(True)

    with _backbone_altered(alter):
        yield


@contextmanager
def swapped_channels() -> Iterator[None]:
    """Blue, green, red: as OpenCV reads images."""
    from backends.pytorch import preprocess

    one, several = preprocess.make_transform, preprocess.make_batch_transform

    def make_transform(task):
        right = one(task)
        return lambda image: right(image[..., ::-1].copy())

    def make_batch_transform(task, layout):
        right = several(task, layout)
        return lambda images: right(images.flip(-1))

    with patch.multiple(preprocess, make_transform=make_transform, make_batch_transform=make_batch_transform):
        yield


@contextmanager
def other_order() -> Iterator[None]:
    """The loader shuffles for itself."""
    from backends.pytorch import pipeline

    real = pipeline.make_loader

    def make_loader(images, labels, order, transform, *others):
        shuffled = np.random.default_rng(1).permuted(order.permutations, axis=1)
        return real(images, labels, Order(shuffled, order.batch_size, order.drop_last), transform, *others)

    with patch.object(pipeline, "make_loader", make_loader):
        yield


@contextmanager
def softmax_twice() -> Iterator[None]:
    """A softmax ends the model, and the loss takes its outputs for logits and applies another."""
    import torch

    class WithSoftmax(torch.nn.Linear):
        def forward(self, features):
            return torch.softmax(super().forward(features), 1)

    with patch.object(torch.nn, "Linear", WithSoftmax):
        yield


@contextmanager
def train_mode() -> Iterator[None]:
    """`fit` puts the module in train mode, as Lightning did until 2.2: the frozen backbone normalises by the batch."""
    from backends.lightning.model import FineTune

    with patch.object(FineTune, "on_fit_start", lambda self: self.train()):
        yield


@contextmanager
def last_loss() -> Iterator[None]:
    """The loss of the last step is reported for the mean of all."""
    from backends.lightning.trainer import Fit

    real = Fit.advance
    with patch.object(Fit, "advance", lambda self, steps: [real(self, 1) for _ in range(steps)][-1]):
        yield
