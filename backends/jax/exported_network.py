"""An exported network in Flax NNX: one module with all of its tensors, computed with JAX' operations."""

from __future__ import annotations

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from backends.engines.jax.device import DTYPES
from backends.exported.evaluation import Casts, evaluate
from backends.exported.executed_network import make_executed_network
from backends.jax.operations import OPERATIONS
from backends.task import Task, Variant
from backends.values import Tensors


class BuiltNetwork(nnx.Module):
    """A network built from its neutral graph, up to its pooled features."""

    def __init__(self, task: Task, variant: Variant) -> None:
        self.network = network = make_executed_network(task, variant)
        self.dtype = low = DTYPES[variant.precision]
        self.tensors = nnx.Dict(
            {
                name: nnx.Param(jnp.zeros(shape, low if name in network.rounded else jnp.float32))
                for name, shape in network.shapes.items()
            }
        )
        self.casts = Casts(_make_cast(low), _make_cast("float32")) if low != "float32" else None

    def __call__(self, x: jax.Array) -> jax.Array:
        """Inputs (n, s, s, 3), features (n, d) float32."""
        cast = _make_cast(self.dtype)
        constants = {name: cast(jnp.asarray(constant)) for name, constant in self.network.constants.items()}
        tensors = {name: variable[...] for name, variable in self.tensors.items()}
        return evaluate(self.network.graph, OPERATIONS, constants | tensors, cast(x), self.casts)

    def load(self, tensors: Tensors) -> None:
        """Copy tensors, laid out as in the checkpoint."""
        for name, tensor in tensors.items():
            self.tensors[name][...] = jnp.array(self.network.lay_out(name, tensor), self.tensors[name].dtype)

    def read(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """The tensors' current values, float32, laid out as in the checkpoint."""
        return {name: self.lay_out_as_in_checkpoint(name, self.tensors[name][...]) for name in names}

    def lay_out_as_in_checkpoint(self, name: str, value: jax.Array) -> np.ndarray:
        """A copy of a tensor's value, or of its gradient, in PyTorch's layout."""
        return self.network.lay_out_as_in_checkpoint(name, np.asarray(value.astype(jnp.float32)))


def _make_cast(dtype: str):
    return lambda value: value.astype(dtype) if jnp.issubdtype(value.dtype, jnp.floating) else value
