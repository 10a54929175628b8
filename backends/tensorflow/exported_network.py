"""An exported network in TensorFlow's operations, without Keras layers above them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import tensorflow as tf

from backends.exported.evaluation import Casts, evaluate
from backends.exported.executed_network import make_executed_network
from backends.task import Task, Variant
from backends.tensorflow.operations import OPERATIONS
from backends.values import Tensors

DTYPES = {"fp32": tf.float32, "tf32": tf.float32, "bf16": tf.bfloat16, "fp16": tf.float16}


class BuiltNetwork:
    """A network built from its neutral graph, up to its pooled features; called like a Keras model."""

    def __init__(self, task: Task, variant: Variant) -> None:
        self.network = network = make_executed_network(task, variant)
        self.dtype = low = DTYPES[variant.precision]
        self.tensors = {
            name: tf.Variable(
                tf.zeros(shape, low if name in network.rounded else tf.float32), trainable=name in network.trained
            )
            for name, shape in network.shapes.items()
        }
        self.constants = {name: _cast(tf.constant(constant), low) for name, constant in network.constants.items()}
        self.casts = Casts(_make_cast(low), _make_cast(tf.float32)) if low != tf.float32 else None

    def __call__(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Features (n, d) float32 of inputs (n, s, s, 3). `training` is accepted as by a Keras model: exported networks
        compute the same in both modes.
        """
        tensors = {name: tf.convert_to_tensor(variable) for name, variable in self.tensors.items()}
        batch = tf.shape(inputs)[0] if inputs.shape[0] is None else inputs.shape[0]
        images = tf.cast(inputs, self.dtype)
        return evaluate(self.network.graph, OPERATIONS, self.constants | tensors, images, self.casts, batch)

    def load(self, tensors: Tensors) -> None:
        """Copy tensors, laid out as in the checkpoint."""
        for name, tensor in tensors.items():
            self.tensors[name].assign(tf.cast(self.network.lay_out(name, tensor), self.tensors[name].dtype))

    def read(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """The tensors' current values, float32, laid out as in the checkpoint."""
        return {name: self.lay_out_as_in_checkpoint(name, self.tensors[name]) for name in names}

    def lay_out_as_in_checkpoint(self, name: str, value: tf.Tensor) -> np.ndarray:
        """A copy of a tensor's value, or of its gradient, in PyTorch's layout."""
        return self.network.lay_out_as_in_checkpoint(name, tf.cast(value, tf.float32).numpy())


def _cast(value: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
    return tf.cast(value, dtype) if value.dtype.is_floating else value


def _make_cast(dtype: tf.DType):
    return lambda value: _cast(value, dtype)
