"""The backbones as Keras graphs, shared by every backend that builds on Keras.

Layers that hold weights are found by the tensor's prefix in the checkpoint (`layer1.0.conv1`), whatever Keras
calls them, so loading and reading back is one rule for all networks.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import keras
import numpy as np

from backends import folding
from backends.backbones import Backbone
from backends.graphs import efficientnet_lite, executed, resnet
from backends.graphs.batch_norm import BatchStatistics, FixedStatistics
from backends.task import Task, Variant
from backends.values import Tensors

FAMILIES = {"resnet": resnet, "efficientnet_lite": efficientnet_lite}

#: PyTorch's layout to Keras': (out, in, h, w) to (h, w, in, out); depthwise (channels, 1, h, w) to (h, w, channels, 1).
CONVOLUTION = (2, 3, 1, 0)
DEPTHWISE = (2, 3, 0, 1)
#: PyTorch's names of a normalisation's tensors, and Keras'.
NORMALISATION = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def build(task: Task, variant: Variant) -> keras.Model:
    """The network from inputs (n, s, s, 3) to its last feature map (n, h, w, d), frozen but for what the task trains.

    In mode `batch_stats` all normalisation layers stay trainable, which is what makes them use and move statistics, and
    just gamma and beta of frozen ones are not.
    """
    family = FAMILIES[task.network.family]
    graph = family.build(task.network, task.image_size)
    if folding.folds(variant) or variant.precision in executed.TYPES:
        products = {family.layer_name(prefix): place for prefix, place in folding.small_maps(task, variant).items()}
        in_place_of = partial(executed.in_place_of, variant=variant, products=products)
        graph = keras.models.clone_model(graph, clone_function=in_place_of)
    if task.batch_norm == "batch_stats":
        graph = keras.models.clone_model(graph, clone_function=BatchStatistics.in_place_of)
    elif task.trained:
        graph = keras.models.clone_model(graph, clone_function=FixedStatistics.in_place_of)
    trained = {layer_of(graph, task.network, name) for name in task.trained}
    for layer in graph.layers:
        if isinstance(layer, BatchStatistics):
            layer.gamma.trainable = layer.beta.trainable = layer in trained
        else:
            layer.trainable = layer in trained
    return graph


def load(graph: keras.Model, backbone: Backbone, tensors: Tensors) -> None:
    """Copy tensors, as they are executed and laid out as in the checkpoint, into the graph."""
    for name, tensor in tensors.items():
        variable, axes = _variable(graph, backbone, name)
        variable.assign(tensor if axes is None else tensor.transpose(axes))


def read(graph: keras.Model, backbone: Backbone, names: Iterable[str]) -> dict[str, np.ndarray]:
    """The graph's tensors as they are executed, float32, named and laid out as in the checkpoint."""
    tensors = {}
    for name in names:
        variable, axes = _variable(graph, backbone, name)
        value = keras.ops.convert_to_numpy(variable).astype(np.float32)
        tensors[name] = _as_checkpoint(value, axes)
    return tensors


def trained(graph: keras.Model, task: Task) -> list[keras.Variable]:
    """The variables of `task.trained`, in its order."""
    return [_variable(graph, task.network, name)[0] for name in task.trained]


def gradients(graph: keras.Model, task: Task, values: Iterable[Any]) -> dict[str, np.ndarray]:
    """Gradients with respect to `trained`, named and laid out as in the checkpoint."""
    return {
        name: _as_checkpoint(keras.ops.convert_to_numpy(value), _variable(graph, task.network, name)[1])
        for name, value in zip(task.trained, values, strict=True)
    }


def layer_of(graph: keras.Model, backbone: Backbone, name: str) -> keras.Layer:
    """The layer that holds a tensor."""
    return graph.get_layer(FAMILIES[backbone.family].layer_name(name.rpartition(".")[0]))


def _as_checkpoint(value: np.ndarray, axes: tuple[int, ...] | None) -> np.ndarray:
    return np.array(value if axes is None else value.transpose(np.argsort(axes)), order="C")


def _variable(graph: keras.Model, backbone: Backbone, name: str) -> tuple[keras.Variable, tuple[int, ...] | None]:
    """The variable of a tensor, and the axes that turn the second into the first."""
    kind = name.rpartition(".")[2]
    layer = layer_of(graph, backbone, name)
    if isinstance(layer, keras.layers.BatchNormalization):
        return getattr(layer, NORMALISATION[kind]), None
    if kind == "bias":
        return layer.bias, None
    return layer.kernel, DEPTHWISE if isinstance(layer, keras.layers.DepthwiseConv2D) else CONVOLUTION
