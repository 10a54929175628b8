"""Training of the head on features that were computed before, in one compiled loop."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from backends.base import Training
from backends.engines.jax.group import Membership
from backends.values import Order

#: The model, and its optimizer.
Trained = tuple[nnx.Module, nnx.Optimizer]
#: Trains a step of the head of a model on features (b, d), labels (b,) and weights (b,), which add up to 1; returns the
#: weighted loss, in a group that of each process.
Step = Callable[[nnx.Module, nnx.Optimizer, jax.Array, jax.Array, jax.Array], jax.Array]


class HeadTraining(Training):
    """Trains the head in a compiled loop over the order's batches: at a batch of 4, the call of a compiled function
    costs more than the step.

    All batches have the same shape: a partial one is padded with images of weight 0. `changes` is a filter of the
    variables that a step changes.
    """

    def __init__(
        self,
        step: Step,
        trained: Trained,
        changes: Callable[..., bool],
        features: np.ndarray,
        labels: np.ndarray,
        order: Order,
        membership: Membership,
    ) -> None:
        indices, mask = membership.share(order).padded()
        self.step, self.trained, self.changes, self.membership = step, trained, changes, membership
        sizes = mask.sum(axis=1) * membership.group.size
        whole = (jnp.array(features), jnp.array(labels, jnp.int32), jnp.array(sizes, jnp.float32))
        shares = (jnp.array(indices, jnp.int32), jnp.array(mask / sizes[:, None], jnp.float32))
        self.data = (*membership.replicate(whole), *membership.join_shares(shares, axis=1))
        self.done, self.steps = 0, order.steps
        self.loop = jax.jit(self._loop)

    def advance(self, steps: int) -> float:
        """See `Training.advance`."""
        if self.done + steps > self.steps:
            raise StopIteration
        state = nnx.state(self.trained, self.changes)
        loss, state = self.loop(state, self.done, self.done + steps, self.data)
        nnx.update(self.trained, state)
        self.done += steps
        return float(self.membership.read_losses(loss))

    def close(self) -> None:
        """See `Training.close`."""
        self.done = self.steps

    def _loop(
        self, state: nnx.State, first: jax.Array, end: jax.Array, data: tuple[jax.Array, ...]
    ) -> tuple[jax.Array, nnx.State]:
        """Train the steps from `first` up to, but not including, `end`; returns their mean loss per image, and the
        state after them. The backbone is not used, so that the compiled function has none of it.
        """
        features, labels, sizes, indices, weights = data
        graph, _, rest = nnx.split(self.trained, self.changes, ...)

        def train(row: jax.Array, carried: tuple[nnx.State, jax.Array, jax.Array]) -> tuple:
            state, total, images = carried
            model, optimizer = nnx.merge(graph, state, rest, copy=True)
            batch = indices[row]
            loss = self.step(model, optimizer, features[batch], labels[batch], weights[row])
            state = nnx.state((model, optimizer), self.changes)
            return state, total + loss * sizes[row], images + sizes[row]

        state, total, images = lax.fori_loop(
            first, end, train, (state, jnp.zeros(self.membership.loss_shape), jnp.zeros(()))
        )
        return total / images, state
