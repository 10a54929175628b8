"""The frozen backbone: built, loaded from the checkpoint, and read back."""

from __future__ import annotations

from collections.abc import Iterable

import keras
import numpy as np

from backends import graphs
from backends.base import Tensors
from backends.graphs.operations import Operations
from backends.task import Task, Variant


def build(task: Task, variant: Variant) -> keras.Model | Operations:
    """The backbone up to its pooled features (n, d) float32, frozen but for what the task trains."""
    if variant.graph == "tf_ops":
        return Operations(task.network)
    graph = graphs.build(task, variant)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool", dtype="float32")(graph.output)
    return keras.Model(graph.input, pooled)


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
