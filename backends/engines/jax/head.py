"""Training of the head on features that were computed before, in one compiled loop."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from backends.base import Training
from backends.engines.jax.group import Membership
from backends.values import Order

#: All values that a step changes: a tree of arrays.
Values = Any
#: Trains a step of the head from values, on features (b, d), labels (b,) and weights (b,), which add up to 1. Returns
#: the weighted loss, in a group that of each process, and the new values.
Step = Callable[[Values, jax.Array, jax.Array, jax.Array], tuple[jax.Array, Values]]


class HeadTraining(Training):
    """Trains the head in a compiled loop over the order's batches: at a batch of 4, the call of a compiled function
    costs more than the step.

    All batches have the same shape: a partial one is padded with images of weight 0. A subclass says where the values
    are between two calls.
    """

    def __init__(
        self, step: Step, features: np.ndarray, labels: np.ndarray, order: Order, membership: Membership
    ) -> None:
        indices, mask = membership.share(order).padded()
        self.step, self.membership = step, membership
        sizes = mask.sum(axis=1) * membership.group.size
        whole = (jnp.array(features), jnp.array(labels, jnp.int32), jnp.array(sizes, jnp.float32))
        shares = (jnp.array(indices, jnp.int32), jnp.array(mask / sizes[:, None], jnp.float32))
        self.data = (*membership.replicate(whole), *membership.join_shares(shares, axis=1))
        self.done, self.steps = 0, order.steps
        self.loop = jax.jit(self._loop)

    @abstractmethod
    def get_values(self) -> Values:
        """The values now."""

    @abstractmethod
    def set_values(self, values: Values) -> None:
        """Keep the values after a call."""

    def read_loss(self, loss: jax.Array) -> float:
        """The loss to report, from the mean loss of a call, in a group (processes,) those of all. It waits for them."""
        return float(self.membership.read_losses(loss))

    def advance(self, steps: int) -> float:
        """See `Training.advance`."""
        if self.done + steps > self.steps:
            raise StopIteration
        loss, values = self.loop(self.get_values(), self.done, self.done + steps, self.data)
        self.set_values(values)
        self.done += steps
        return self.read_loss(loss)

    def close(self) -> None:
        """See `Training.close`."""
        self.done = self.steps

    def _loop(
        self, values: Values, first: jax.Array, end: jax.Array, data: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, Values]:
        """Train the steps from `first` up to, but not including, `end`; returns their mean loss per image, and the
        values after them.
        """
        features, labels, sizes, indices, weights = data

        def train(row: jax.Array, carried: tuple[Values, jax.Array, jax.Array]) -> tuple:
            values, total, images = carried
            batch = indices[row]
            loss, values = self.step(values, features[batch], labels[batch], weights[row])
            return values, total + loss * sizes[row], images + sizes[row]

        nothing = jnp.zeros(self.membership.loss_shape)
        values, total, images = jax.lax.fori_loop(first, end, train, (values, nothing, jnp.zeros(())))
        return total / images, values
