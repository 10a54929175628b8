"""Training of the head alone, on features that were computed before."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from backends.base import Training
from backends.values import Order

#: One step on a batch of features (b, d), labels (b,) and weights (b,), which add up to 1; the weighted loss.
Step = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


class HeadTraining(Training):
    """A loop over the order's batches within one graph: at a batch of 4, calling a graph costs more than the step.

    All batches have one shape: a partial one is filled up with images of weight 0.
    """

    def __init__(
        self,
        step: Step,
        compiled: Callable[[Callable], Callable],
        features: np.ndarray,
        labels: np.ndarray,
        order: Order,
    ) -> None:
        indices, there = order.padded()
        self.step = step
        self.features, self.labels = tf.constant(features), tf.constant(labels, tf.int64)
        self.indices = tf.constant(indices, tf.int32)
        self.sizes = tf.constant(there.sum(axis=1), tf.float32)
        self.weights = tf.constant(there / there.sum(axis=1, keepdims=True), tf.float32)
        self.done, self.steps = 0, order.steps
        self.loop = compiled(self._loop)

    def advance(self, steps: int) -> float:
        """See `Training.advance`."""
        if self.done + steps > self.steps:
            raise StopIteration
        loss = self.loop(tf.constant(self.done), tf.constant(self.done + steps))
        self.done += steps
        return float(loss)

    def close(self) -> None:
        """See `Training.close`."""
        self.done = self.steps

    def _loop(self, first: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
        """The mean loss per image of the steps from `first` to before `end`."""
        total, images, row = tf.constant(0.0), tf.constant(0.0), first
        while row < end:
            chosen = self.indices[row]
            loss = self.step(tf.gather(self.features, chosen), tf.gather(self.labels, chosen), self.weights[row])
            total += loss * self.sizes[row]
            images += self.sizes[row]
            row += 1
        return total / images
