"""The model, backbone and head: how it is built, loaded from the checkpoint and read back."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np

from backends import graphs
from backends.keras import preprocess
from backends.keras.engine import Engine
from backends.task import Task, Variant
from backends.values import Tensors


def build(task: Task, variant: Variant, engine: Engine) -> keras.Model:
    """The model from images (n, s, s, 3), as `preprocess.make_transform` prepares them, to logits (n, c). Only the
    layer `head` is trainable, and what else the task trains.
    """
    backbone = graphs.build(task, variant, engine.add_bias)
    side = preprocess.get_input_side(task, engine.resizes_in_model)
    inputs = keras.Input((side, side, 3), name="images")
    x = preprocess.add_normalisation(inputs, task, variant)
    x = backbone(x, training=task.batch_norm == "batch_stats")
    x = keras.layers.GlobalAveragePooling2D(name="pool", dtype="float32")(x)
    outputs = keras.layers.Dense(task.classes, name="head")(x)
    return keras.Model(inputs, outputs)


def find_backbone(model: keras.Model) -> keras.Model:
    """The backbone in a model."""
    return next(layer for layer in model.layers if isinstance(layer, keras.Model))


def find_knobs_in_force(model: keras.Model, execution: str) -> dict[str, str]:
    """Find the values of knobs that are in force in the compiled model; `execution` as the engine says."""
    return {
        "execution": execution,
        "steps_per_execution": str(model.steps_per_execution),
        **graphs.find_knobs_in_force(find_backbone(model)),
    }


def load(backbone: keras.Model, task: Task, tensors: Tensors) -> None:
    """Copy executed tensors into the backbone."""
    graphs.load(backbone, task.network, tensors)


def read(backbone: keras.Model, task: Task, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Read the backbone's executed tensors, named as in the checkpoint."""
    return graphs.read(backbone, task.network, names)
