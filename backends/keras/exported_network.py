"""An exported network in Keras: one layer with all of its tensors, computed with `keras.ops`."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np

from backends.exported.evaluation import Casts, evaluate
from backends.exported.executed_network import make_executed_network
from backends.graphs.executed_layers import DTYPE_NAMES
from backends.keras.operations import OPERATIONS
from backends.task import Task, Variant
from backends.values import Tensors


class BuiltNetwork(keras.layers.Layer):
    """A network built from its neutral graph, up to its pooled features."""

    def __init__(self, task: Task, variant: Variant) -> None:
        super().__init__(name="network", dtype="float32")
        self.network = network = make_executed_network(task, variant)
        self.low = low = DTYPE_NAMES.get(variant.precision, "float32")
        self.tensors = {
            name: self.add_weight(
                shape=shape,
                initializer="zeros",
                dtype=low if name in network.rounded else "float32",
                trainable=name in network.trained,
                autocast=False,
                name=name.replace(".", "_").replace("/", "_"),
            )
            for name, shape in network.shapes.items()
        }
        self.casts = Casts(_make_cast(low), _make_cast("float32")) if low != "float32" else None

    def call(self, inputs):
        """Features (n, d) float32 of inputs (n, s, s, 3)."""
        cast = _make_cast(self.low)
        constants = {
            name: cast(keras.ops.convert_to_tensor(constant)) for name, constant in self.network.constants.items()
        }
        batch = keras.ops.shape(inputs)[0]
        tensors = {name: variable.value for name, variable in self.tensors.items()}
        return evaluate(self.network.graph, OPERATIONS, constants | tensors, cast(inputs), self.casts, batch)

    def compute_output_shape(self, input_shape):
        """As `call`."""
        return (input_shape[0], self.network.graph.features)

    def load(self, tensors: Tensors) -> None:
        """Copy tensors, laid out as in the checkpoint."""
        for name, tensor in tensors.items():
            self.tensors[name].assign(self.network.lay_out(name, tensor))

    def read(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """The tensors' current values, float32, laid out as in the checkpoint."""
        return {name: self.lay_out_as_in_checkpoint(name, self.tensors[name]) for name in names}

    def lay_out_as_in_checkpoint(self, name: str, value) -> np.ndarray:
        """A copy of a tensor's value, or of its gradient, in PyTorch's layout."""
        single = keras.ops.cast(value, "float32")
        return self.network.lay_out_as_in_checkpoint(name, keras.ops.convert_to_numpy(single))


def _make_cast(dtype: str):
    return lambda value: (
        keras.ops.cast(value, dtype) if "float" in keras.backend.standardize_dtype(value.dtype) else value
    )
