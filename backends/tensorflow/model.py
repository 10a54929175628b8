"""The backbone: how it is built, loaded from the checkpoint, executed and read back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from backends import graphs
from backends.engines.tensorflow.operations import Operations
from backends.exported.executed_network import is_built_from_graph
from backends.task import Task, Variant
from backends.tensorflow.exported_network import BuiltNetwork
from backends.values import Tensors

#: A backbone without Keras layers.
WITHOUT_LAYERS = (Operations, BuiltNetwork)
AnyBackbone = Any  # keras.Model, Operations or BuiltNetwork


def build(task: Task, variant: Variant) -> AnyBackbone:
    """The backbone up to its pooled features (n, d) float32, frozen except for what the task trains."""
    if is_built_from_graph(task, variant):
        return BuiltNetwork(task, variant)
    if variant.graph == "tf_ops":
        return Operations(task.network)
    graph = graphs.build(task, variant, tf.nn.bias_add)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool", dtype="float32")(graph.output)
    return keras.Model(graph.input, pooled)


def make_forward(backbone: AnyBackbone, task: Task, variant: Variant) -> Callable:
    """The loaded backbone as a function of inputs and `training` that executes it as the variant says.

    For `compiled_frozen` its variables become constants: TensorFlow then computes all that depends only on weights
    ahead of time.
    """
    if variant.execution != "compiled_frozen":
        return backbone
    inputs = tf.TensorSpec((None, task.image_size, task.image_size, 3), tf.float32)
    graph = tf.function(lambda inputs: backbone(inputs, training=False)).get_concrete_function(inputs)
    frozen_graph = convert_variables_to_constants_v2(graph)
    return lambda inputs, training: frozen_graph(inputs)[0]


def find_knobs_in_force(backbone: AnyBackbone, forward: Callable, train_steps: Callable) -> dict[str, str]:
    """Find the values of knobs that are in force in the built backbone and in the functions that execute it."""
    execution = "eager"
    if isinstance(train_steps, tf.types.experimental.PolymorphicFunction) and not tf.config.functions_run_eagerly():
        frozen = "compiled" if forward is backbone else "compiled_frozen"
        execution = "xla" if train_steps._jit_compile else frozen
    if isinstance(backbone, BuiltNetwork):
        return {"execution": execution, **backbone.network.in_force}
    if isinstance(backbone, Operations):
        return {"execution": execution, "layout": "nhwc", "precision": "fp32", "graph": "tf_ops"}
    return {"execution": execution, **graphs.find_knobs_in_force(backbone)}


def load(backbone: AnyBackbone, task: Task, tensors: Tensors) -> None:
    """Copy executed tensors into the backbone."""
    if isinstance(backbone, WITHOUT_LAYERS):
        return backbone.load(tensors)
    graphs.load(backbone, task.network, tensors)


def read(backbone: AnyBackbone, task: Task, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Read the backbone's executed tensors, named as in the checkpoint."""
    if isinstance(backbone, WITHOUT_LAYERS):
        return backbone.read(names)
    return graphs.read(backbone, task.network, names)


def list_trained_variables(backbone: AnyBackbone, task: Task) -> list[tf.Variable]:
    """The variables of `task.trained`, in its order."""
    if isinstance(backbone, BuiltNetwork):
        return [backbone.tensors[name] for name in task.trained]
    return [variable.value for variable in graphs.list_trained_variables(backbone, task)]


def read_gradients(backbone: AnyBackbone, task: Task, values: Iterable[Any]) -> dict[str, np.ndarray]:
    """Gradients with respect to the trained variables, named and laid out as in the checkpoint."""
    if isinstance(backbone, BuiltNetwork):
        pairs = zip(task.trained, values, strict=True)
        return {name: backbone.lay_out_as_in_checkpoint(name, tf.convert_to_tensor(value)) for name, value in pairs}
    return graphs.read_gradients(backbone, task, values)
