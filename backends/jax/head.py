"""Training of the head of a Flax model on features that were computed before."""

from __future__ import annotations

from collections.abc import Callable

import jax
import numpy as np
from flax import nnx

from backends.engines.jax import head
from backends.engines.jax.group import Membership
from backends.values import Order

#: The model, and its optimizer.
Trained = tuple[nnx.Module, nnx.Optimizer]
#: Trains a step of the head of a model on features (b, d), labels (b,) and weights (b,), which add up to 1; returns the
#: weighted loss, in a group that of each process.
Step = Callable[[nnx.Module, nnx.Optimizer, jax.Array, jax.Array, jax.Array], jax.Array]


class HeadTraining(head.HeadTraining):
    """The values are those of the variables that a step changes, which `changes` filters.

    The backbone is not used, so that the compiled loop has none of it.
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
        self.trained, self.changes = trained, changes
        graph, _, rest = nnx.split(trained, changes, ...)

        def train(
            state: nnx.State, features: jax.Array, labels: jax.Array, weights: jax.Array
        ) -> tuple[jax.Array, nnx.State]:
            model, optimizer = nnx.merge(graph, state, rest, copy=True)
            loss = step(model, optimizer, features, labels, weights)
            return loss, nnx.state((model, optimizer), changes)

        super().__init__(train, features, labels, order, membership)

    def get_values(self) -> nnx.State:
        """See `head.HeadTraining.get_values`."""
        return nnx.state(self.trained, self.changes)

    def set_values(self, values: nnx.State) -> None:
        """See `head.HeadTraining.set_values`."""
        nnx.update(self.trained, values)
