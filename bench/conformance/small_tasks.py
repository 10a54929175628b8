"""The small tasks on which a backend is checked: images, weights, head and order, drawn in NumPy; no download."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from backends.task import Task, Variant
from backends.values import Head, Order
from bench.data.order import draw_head, draw_order
from bench.weights import random_weights

IMAGES = 96
#: Of the proof.
PROOF_IMAGES, PROOF_STEPS = 8, 12
VARIANT = Variant(threads=1)

_FIELDS: dict[str, Any] = {
    "backbone": "resnet18",
    "weights": "random",
    "dataset": "cifar10",
    "image_size": 32,
    "epochs": 1,
}
TASKS = MappingProxyType(
    {
        task.name: task
        for task in (
            Task(name="frozen", batch_size=4, learning_rate=0.01, **_FIELDS),
            Task(name="batch statistics", batch_size=4, batch_norm="batch_stats", **_FIELDS),
            Task(name="last stage", batch_size=8, trainable="last-stage", **_FIELDS),
            Task(name="all", batch_size=8, batch_norm="batch_stats", trainable="all", **_FIELDS),
        )
    }
)


class Inputs(NamedTuple):
    """What a backend gets for a task: images (n, h, w, 3) uint8, labels (n,), weights, head and order."""

    images: np.ndarray
    labels: np.ndarray
    checkpoint: dict[str, np.ndarray]
    head: Head
    order: Order


def make_inputs(task: Task, images: np.ndarray, labels: np.ndarray) -> Inputs:
    """Draw the inputs of a task."""
    order = draw_order(len(images), 1, task.batch_size, False, task.seed)
    head = draw_head(task.network.features, task.classes, task.seed)
    return Inputs(images.copy(), labels.copy(), draw_checkpoint(task), head, order)


def colour(digits: np.ndarray) -> np.ndarray:
    """Make images (n, 32, 32, 3) uint8 from digits (n, 8, 8, 3), each in a colour of its own."""
    drawn = np.random.default_rng(5)
    large = digits.repeat(4, axis=1).repeat(4, axis=2) * drawn.uniform(0.2, 0.8, (len(digits), 1, 1, 3))
    return (large + drawn.uniform(0, 50, large.shape)).astype(np.uint8)


def draw_checkpoint(task: Task) -> dict[str, np.ndarray]:
    """Draw weights with scales, shifts and statistics that are no identity.

    With mean 0 and variance 1 everywhere, a lost statistic or another epsilon would have no effect.
    """
    drawn = np.random.default_rng(11)
    tensors = random_weights.draw_weights(task.network, task.seed)
    for name, tensor in tensors.items():
        if name.endswith("running_var"):
            tensors[name] = drawn.uniform(0.3, 1.5, tensor.shape).astype(np.float32)
        elif name.endswith(("running_mean", ".bias")):
            tensors[name] = drawn.normal(0, 0.1, tensor.shape).astype(np.float32)
        elif tensor.ndim == 1:
            tensors[name] = (tensor * drawn.uniform(0.5, 1.0, tensor.shape)).astype(np.float32)
    return tensors
