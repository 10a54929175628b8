"""The frozen backbone with its new head: built, loaded from the checkpoint, and read back."""

from __future__ import annotations

import keras
import numpy as np

from backends import graphs
from backends.base import Tensors
from backends.keras import preprocess
from backends.task import Task


def build(task: Task) -> keras.Model:
    """From resized images (n, s, s, 3), 0..255, to logits (n, c); just the layer `head` is trainable."""
    backbone = graphs.build(task.network, task.image_size, task.batch_norm)
    inputs = keras.Input((task.image_size, task.image_size, 3), name="images")
    x = preprocess.normalise(task)(inputs)
    x = backbone(x, training=task.batch_norm == "batch_stats")
    x = keras.layers.GlobalAveragePooling2D(name="pool")(x)
    outputs = keras.layers.Dense(task.classes, name="head")(x)
    return keras.Model(inputs, outputs)


def load(backbone: keras.Model, task: Task, checkpoint: Tensors) -> None:
    """Copy the checkpoint into the backbone."""
    graphs.load(backbone, task.network, checkpoint)


def read(backbone: keras.Model, task: Task) -> dict[str, np.ndarray]:
    """The backbone's tensors, named as in the checkpoint."""
    return graphs.read(backbone, task.network)
