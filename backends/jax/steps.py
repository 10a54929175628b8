"""Compiled training steps, and the loop over batches that calls them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax

from backends.base import Training
from backends.engines.jax.group import Membership
from backends.jax import model
from backends.jax.pipeline import Batch

#: Trains a model with its optimizer on a batch, which may be taken from `data`; returns the mean loss, in a group that
#: of each process.
Step = Callable[[model.Classifier, nnx.Optimizer, Batch, Batch], jax.Array]


#: Most steps that stand one after the other in a compiled function; more of them would only take longer to compile.
UNROLLED = 8


class CompiledSteps:
    """A training step by `nnx.jit`, as in Flax' guides: each call passes the modules, and updates them."""

    def __init__(
        self, step: Step, classifier: model.Classifier, optimizer: nnx.Optimizer, changes: Callable[..., bool]
    ) -> None:
        self.step, self.trained, self.changes = step, (classifier, optimizer), changes
        self.compiled = self._compile()

    @contextmanager
    def open(self) -> Iterator[Callable[[Batch, Sequence[Batch]], jax.Array]]:
        """A function that trains a step on each of some batches of one size, and returns their mean losses."""
        yield lambda data, batches: self.compiled(*self.trained, data, batches)

    def _compile(self) -> Callable:
        return nnx.jit(self._run_in_sequence)

    def _run_in_sequence(
        self, classifier: model.Classifier, optimizer: nnx.Optimizer, data: Batch, batches: Sequence[Batch]
    ) -> jax.Array:
        """Train a step on each batch, one after the other. (docs.jax.dev, "jax.lax.scan")"""
        if len(batches) == 1:
            return self.step(classifier, optimizer, data, batches[0])[None]
        graph, state, rest = nnx.split((classifier, optimizer), self.changes, ...)

        def train(state: nnx.State, batch: Batch) -> tuple[nnx.State, jax.Array]:
            classifier, optimizer = nnx.merge(graph, state, rest, copy=True)
            loss = self.step(classifier, optimizer, data, batch)
            return nnx.state((classifier, optimizer), self.changes), loss

        stacked = jax.tree.map(lambda *parts: jnp.stack(parts), *batches)
        # XLA overlaps the frozen forwards of steps that are not in a loop.
        state, losses = lax.scan(train, state, stacked, unroll=min(len(batches), UNROLLED))
        nnx.update((classifier, optimizer), state)
        return losses


class FunctionalSteps(CompiledSteps):
    """The same by `jax.jit`, as in Flax' guide to performance ("Functional training loop"): the state goes from call to
    call, its memory is donated, and the modules are updated when the training pauses.
    """

    @contextmanager
    def open(self) -> Iterator[Callable[[Batch, Sequence[Batch]], jax.Array]]:
        """See `CompiledSteps.open`."""
        _, state, rest = nnx.split(self.trained, self.changes, ...)

        def train(data: Batch, batches: Sequence[Batch]) -> jax.Array:
            nonlocal state
            losses, state = self.compiled(state, rest, data, batches)
            return losses

        try:
            yield train
        finally:
            nnx.update(self.trained, state)

    def _compile(self) -> Callable:
        self.graph = nnx.graphdef(self.trained)  # not an argument: comparing it would take longer than small steps
        return jax.jit(self._run_on_state, donate_argnums=0)

    def _run_on_state(
        self, state: nnx.State, rest: nnx.State, data: Batch, batches: Sequence[Batch]
    ) -> tuple[jax.Array, nnx.State]:
        classifier, optimizer = nnx.merge(self.graph, state, rest, copy=True)
        losses = self._run_in_sequence(classifier, optimizer, data, batches)
        return losses, nnx.state((classifier, optimizer), self.changes)


class JaxTraining(Training):
    """A custom training loop over batches, which pauses between calls. The last array of a batch has an entry for every
    image. `group` batches are trained on in a call, and one while fewer steps than that are left, or where sizes
    differ.
    """

    def __init__(
        self, steps: CompiledSteps, data: Batch, batches: Iterator[Batch], group: int, membership: Membership
    ) -> None:
        self.steps, self.data, self.batches, self.group = steps, data, batches, group
        self.membership = membership

    def advance(self, steps: int) -> float:
        """See `Training.advance`."""
        losses: list[jax.Array] = []
        sizes: list[int] = []
        with self.steps.open() as train:
            while len(sizes) < steps:
                group = self.group if len(sizes) + self.group <= steps else 1
                batches = [next(self.batches) for _ in range(group)]
                sizes += [len(batch[-1]) for batch in batches]
                same = len({len(batch[-1]) for batch in batches}) == 1
                losses += [train(self.data, part) for part in ([batches] if same else [[one] for one in batches])]
        # All losses are read once, at the end: reading one waits for the device.
        return float(np.average(np.concatenate(list(map(self.membership.read_losses, losses))), weights=sizes))

    def close(self) -> None:
        """See `Training.close`."""
        self.batches = iter(())
