"""The model, backbone and head: how it is built, loaded from the checkpoint and read back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from backends import graphs
from backends.exported.executed_network import is_built_from_graph
from backends.keras import preprocess
from backends.keras.engine import Engine, Tensor
from backends.keras.exported_network import BuiltNetwork
from backends.task import Task, Variant
from backends.values import Tensors

Backbone = Any  # keras.Model or BuiltNetwork


def build(task: Task, variant: Variant, engine: Engine) -> keras.Model:
    """The model from images (n, s, s, 3), as `preprocess.make_transform` prepares them, to logits (n, c). Only the
    layer `head` is trainable, and what else the task trains.
    """
    side = preprocess.get_input_side(task, engine.resizes_in_model_of(task))
    inputs = keras.Input((side, side, 3), name="images")
    x = preprocess.add_normalisation(inputs, task, variant)
    if is_built_from_graph(task, variant):
        x = keras.layers.Identity(name="pool")(BuiltNetwork(task, variant)(x))
    else:
        x = graphs.build(task, variant, engine.add_bias)(x, training=task.batch_norm == "batch_stats")
        x = keras.layers.GlobalAveragePooling2D(name="pool", dtype="float32")(x)
    outputs = keras.layers.Dense(task.classes, name="head")(x)
    return keras.Model(inputs, outputs)


def find_backbone(model: keras.Model) -> Backbone:
    """The backbone in a model."""
    return next(layer for layer in model.layers if isinstance(layer, (keras.Model, BuiltNetwork)))


def find_knobs_in_force(model: keras.Model, execution: str) -> dict[str, str]:
    """Find the values of knobs that are in force in the compiled model; `execution` as the engine says."""
    backbone = find_backbone(model)
    return {
        "execution": execution,
        "steps_per_execution": str(model.steps_per_execution),
        **(backbone.network.in_force if isinstance(backbone, BuiltNetwork) else graphs.find_knobs_in_force(backbone)),
    }


def load(backbone: Backbone, task: Task, tensors: Tensors) -> None:
    """Copy executed tensors into the backbone."""
    if isinstance(backbone, BuiltNetwork):
        return backbone.load(tensors)
    graphs.load(backbone, task.network, tensors)


def read(backbone: Backbone, task: Task, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Read the backbone's executed tensors, named as in the checkpoint."""
    if isinstance(backbone, BuiltNetwork):
        return backbone.read(names)
    return graphs.read(backbone, task.network, names)


def list_trained_variables(backbone: Backbone, task: Task) -> list[keras.Variable]:
    """The variables of `task.trained`, in its order."""
    if isinstance(backbone, BuiltNetwork):
        return [backbone.tensors[name] for name in task.trained]
    return graphs.list_trained_variables(backbone, task)


def read_gradients(backbone: Backbone, task: Task, values: Iterable[Any]) -> dict[str, np.ndarray]:
    """Gradients with respect to the trained variables, named and laid out as in the checkpoint."""
    if isinstance(backbone, BuiltNetwork):
        pairs = zip(task.trained, values, strict=True)
        return {name: backbone.lay_out_as_in_checkpoint(name, value) for name, value in pairs}
    return graphs.read_gradients(backbone, task, values)


def make_loss(task: Task) -> keras.losses.Loss:
    """The mean cross-entropy of logits (n, c) and labels (n,). Keras smooths only labels that are one-hot."""
    if not task.label_smoothing:
        return keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return SmoothedCrossentropy(task.classes, task.label_smoothing)


class SmoothedCrossentropy(keras.losses.Loss):
    """Keras' `categorical_crossentropy`, of labels as numbers of classes."""

    def __init__(self, classes: int, smoothing: float) -> None:
        super().__init__()
        self.classes, self.smoothing = classes, smoothing

    def call(self, y_true: Tensor, y_pred: Tensor) -> Tensor:
        """The loss (n,) of each image."""
        one_hot = keras.ops.one_hot(keras.ops.reshape(keras.ops.cast(y_true, "int32"), (-1,)), self.classes)
        return keras.losses.categorical_crossentropy(one_hot, y_pred, from_logits=True, label_smoothing=self.smoothing)
