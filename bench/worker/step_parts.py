"""The parts of a training step, each with all that comes before it: for a profile, never beside a measurement."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import numpy as np

from backends.base import Trainer, Training
from backends.values import Order

#: What a step is made of, in its order, as rounds of their own: each does what the one before it does, and more.
PARTS: Mapping[str, Callable[[Trainer, np.ndarray, np.ndarray], object]] = {
    "forward": lambda trainer, images, labels: trainer.features(images),
    "gradient": lambda trainer, images, labels: trainer.loss_and_gradient(images, labels),
    "update": lambda trainer, images, labels: trainer.step(images, labels),
}


class Part(Training):
    """One part, again and again, on a few batches of raw images in host memory."""

    def __init__(self, name: str, trainer: Trainer, images: np.ndarray, labels: np.ndarray, order: Order) -> None:
        self.call, self.trainer = PARTS[name], trainer
        self.batches = itertools.cycle([(images[batch], labels[batch]) for batch in order.batches()])

    def advance(self, steps: int) -> float:
        """Do the part `steps` times. The loss is of no interest."""
        for _ in range(steps):
            self.call(self.trainer, *next(self.batches))
        return 0.0

    def close(self) -> None:
        """Nothing is held."""
