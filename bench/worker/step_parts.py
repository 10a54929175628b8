"""The parts of a training step, each including all parts before it: for a profile, never during a measurement."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import numpy as np

from backends.base import Trainer, Training
from backends.values import Order

#: The parts of a step in their order, each a kind of round: each one includes the one before it.
PARTS: Mapping[str, Callable[..., object]] = {
    "forward": lambda trainer, images, labels, *rows: trainer.features(images),
    "gradient": lambda trainer, images, labels, *rows: trainer.loss_and_gradient(images, labels),
    "update": lambda trainer, images, labels, *rows: trainer.step(images, labels, *rows),
}


class RepeatedPart(Training):
    """A part that is repeated on a few batches of raw images in host memory, in the form of a training."""

    def __init__(self, name: str, trainer: Trainer, images: np.ndarray, labels: np.ndarray, order: Order) -> None:
        self.call, self.trainer = PARTS[name], trainer
        self.batches = itertools.cycle(
            [(images[batch], labels[batch], *rows) for batch, *rows in order.augmented_batches()]
        )

    def advance(self, steps: int) -> float:
        """Run the part `steps` times. Returns 0 instead of a loss."""
        for _ in range(steps):
            self.call(self.trainer, *next(self.batches))
        return 0.0

    def close(self) -> None:
        """Does nothing: there is nothing to release."""
