"""The model, backbone and head: how it is built, loaded from the checkpoint and read back."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from backends import graphs
from backends.keras import preprocess
from backends.task import Task, Variant
from backends.values import Tensors


def build(task: Task, variant: Variant) -> keras.Model:
    """The model from images (n, s, s, 3), as `preprocess.make_transform` prepares them, to logits (n, c). Only the
    layer `head` is trainable, and what else the task trains.
    """
    backbone = graphs.build(task, variant)
    inputs = keras.Input((task.image_size, task.image_size, 3), name="images")
    x = preprocess.make_normalisation(task, variant)(inputs)
    x = backbone(x, training=task.batch_norm == "batch_stats")
    x = keras.layers.GlobalAveragePooling2D(name="pool", dtype="float32")(x)
    outputs = keras.layers.Dense(task.classes, name="head")(x)
    return keras.Model(inputs, outputs)


def find_knobs_in_force(model: keras.Model, backbone: keras.Model, variant: Variant) -> dict[str, str]:
    """Find the values of knobs that are in force in the compiled model and its backbone.

    A variant that does not set `execution` leaves the choice of XLA to Keras, and has what it asks for either way.
    """
    compiled = "xla" if model.jit_compile and variant.execution else "compiled"
    return {
        "execution": "eager" if model.run_eagerly or tf.config.functions_run_eagerly() else compiled,
        "steps_per_execution": str(model.steps_per_execution),
        **graphs.find_knobs_in_force(backbone),
    }


def load(backbone: keras.Model, task: Task, tensors: Tensors) -> None:
    """Copy executed tensors into the backbone."""
    graphs.load(backbone, task.network, tensors)


def read(backbone: keras.Model, task: Task, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Read the backbone's executed tensors, named as in the checkpoint."""
    return graphs.read(backbone, task.network, names)
