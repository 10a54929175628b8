"""The frozen backbone: built, loaded from the checkpoint, and read back."""

from __future__ import annotations

import keras
import numpy as np

from backends import graphs
from backends.base import Tensors
from backends.task import Task


def build(task: Task) -> keras.Model:
    """The backbone up to its pooled features (n, d), with every parameter frozen."""
    graph = graphs.build(task.network, task.image_size, task.batch_norm)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(graph.output)
    return keras.Model(graph.input, pooled)


def load(backbone: keras.Model, task: Task, checkpoint: Tensors) -> None:
    """Copy the checkpoint into the backbone."""
    graphs.load(backbone, task.network, checkpoint)


def read(backbone: keras.Model, task: Task) -> dict[str, np.ndarray]:
    """The backbone's tensors, named as in the checkpoint."""
    return graphs.read(backbone, task.network)
