"""The frozen backbone: built, loaded from the checkpoint, and read back."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from backends import graphs
from backends.graphs.operations import Operations
from backends.task import Task, Variant
from backends.values import Tensors


def build(task: Task, variant: Variant) -> keras.Model | Operations:
    """The backbone up to its pooled features (n, d) float32, frozen but for what the task trains."""
    if variant.graph == "tf_ops":
        return Operations(task.network)
    graph = graphs.build(task, variant)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool", dtype="float32")(graph.output)
    return keras.Model(graph.input, pooled)


def executed(backbone: keras.Model | Operations, task: Task, variant: Variant) -> Callable:
    """The loaded backbone as the variant executes it, called on inputs with `training`.

    With constants for variables TensorFlow computes ahead of time what depends on weights alone.
    """
    if variant.execution != "compiled_frozen":
        return backbone
    inputs = tf.TensorSpec((None, task.image_size, task.image_size, 3), tf.float32)
    graph = tf.function(lambda inputs: backbone(inputs, training=False)).get_concrete_function(inputs)
    constant = convert_variables_to_constants_v2(graph)
    return lambda inputs, training: constant(inputs)[0]


def load(backbone: keras.Model | Operations, task: Task, tensors: Tensors) -> None:
    """Copy tensors, as they are executed, into the backbone."""
    if isinstance(backbone, Operations):
        return backbone.load(tensors)
    graphs.load(backbone, task.network, tensors)


def read(backbone: keras.Model | Operations, task: Task, names: Iterable[str]) -> dict[str, np.ndarray]:
    """The backbone's tensors as they are executed, named as in the checkpoint."""
    if isinstance(backbone, Operations):
        return backbone.read(names)
    return graphs.read(backbone, task.network, names)
