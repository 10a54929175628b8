"""Training of the head on features that were computed before, in one TensorFlow graph."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from backends.base import Training
from backends.values import Order

#: Trains one step on features (b, d), labels (b,) and weights (b,), which add up to 1; returns the weighted loss.
Step = Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]


class HeadTraining(Training):
    """Trains the head in a loop over the order's batches, inside one graph: at a batch of 4, the call of a graph costs
    more than the step.

    All batches have the same shape: a partial one is padded with images of weight 0.
    """

    def __init__(
        self,
        step: Step,
        compile_function: Callable[[Callable], Callable],
        features: np.ndarray,
        labels: np.ndarray,
        order: Order,
    ) -> None:
        indices, mask = order.padded()
        self.step = step
        self.features, self.labels = tf.constant(features), tf.constant(labels, tf.int64)
        self.indices = tf.constant(indices, tf.int32)
        self.sizes = tf.constant(mask.sum(axis=1), tf.float32)
        self.weights = tf.constant(mask / mask.sum(axis=1, keepdims=True), tf.float32)
        self.done, self.steps = 0, order.steps
        self.loop = compile_function(self._loop)

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
        """Train the steps from `first` up to, but not including, `end`; returns their mean loss per image."""
        total, images, row = tf.constant(0.0), tf.constant(0.0), first
        while row < end:
            batch = self.indices[row]
            loss = self.step(tf.gather(self.features, batch), tf.gather(self.labels, batch), self.weights[row])
            total += loss * self.sizes[row]
            images += self.sizes[row]
            row += 1
        return total / images
