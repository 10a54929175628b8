"""The backbones as Keras graphs, for all backends that build on Keras.

A layer with weights is found by the prefix of its tensors in the checkpoint (`layer1.0.conv1`), so that loading and
reading follow one rule for all networks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import keras
import numpy as np

from backends import folding
from backends.backbones import Backbone
from backends.graphs import efficientnet_lite, executed_layers, resnet
from backends.graphs.batch_norm import BatchStatistics, FixedStatistics
from backends.task import Task, Variant
from backends.values import Tensors

FAMILIES = {"resnet": resnet, "efficientnet_lite": efficientnet_lite}

#: The knob `layout`, by Keras' name.
LAYOUTS = {"channels_last": "nhwc", "channels_first": "nchw"}
#: PyTorch's layout to Keras': (out, in, h, w) to (h, w, in, out); depthwise (channels, 1, h, w) to (h, w, channels, 1).
CONVOLUTION = (2, 3, 1, 0)
DEPTHWISE = (2, 3, 0, 1)
#: PyTorch's names of a normalisation's tensors, and Keras'.
NORMALISATION = {"weight": "gamma", "bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}


def build(task: Task, variant: Variant, add_bias: Callable = keras.ops.add) -> keras.Model:
    """The network from inputs (n, s, s, 3) to its last feature map (n, h, w, d), frozen where the task trains nothing.

    In mode `batch_stats` all normalisation layers stay trainable: only then do they use the batch's statistics and move
    the running ones. In frozen parts only their gamma and beta are not trainable. `add_bias` is the engine's function
    that adds a bias (c,) to values (n, c).
    """
    family = FAMILIES[task.network.family]
    graph = family.build(task.network, task.image_size)
    if folding.folds_batch_norm(variant) or variant.precision in executed_layers.DTYPE_NAMES:
        products = {
            family.get_layer_name(prefix): geometry
            for prefix, geometry in folding.find_product_convolutions(task, variant).items()
        }
        replace_layer = partial(executed_layers.replace_layer, variant=variant, products=products, add_bias=add_bias)
        call_layer = partial(executed_layers.call_layer, variant=variant)
        graph = keras.models.clone_model(graph, clone_function=replace_layer, call_function=call_layer)
    if task.batch_norm == "batch_stats":
        graph = keras.models.clone_model(graph, clone_function=BatchStatistics.replace_layer)
    elif task.trained:
        graph = keras.models.clone_model(graph, clone_function=FixedStatistics.replace_layer)
    trained = {find_layer(graph, task.network, name) for name in task.trained}
    for layer in graph.layers:
        if isinstance(layer, BatchStatistics):
            layer.gamma.trainable = layer.beta.trainable = layer in trained
        else:
            layer.trainable = layer in trained
    return graph


def load(graph: keras.Model, backbone: Backbone, tensors: Tensors) -> None:
    """Copy executed tensors, laid out as in the checkpoint, into the graph."""
    for name, tensor in tensors.items():
        variable, axes = _find_variable(graph, backbone, name)
        variable.assign(tensor if axes is None else tensor.transpose(axes))


def read(graph: keras.Model, backbone: Backbone, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Read the graph's executed tensors, float32, named and laid out as in the checkpoint."""
    tensors = {}
    for name in names:
        variable, axes = _find_variable(graph, backbone, name)
        value = keras.ops.convert_to_numpy(variable).astype(np.float32)
        tensors[name] = _lay_out_as_in_checkpoint(value, axes)
    return tensors


def list_trained_variables(graph: keras.Model, task: Task) -> list[keras.Variable]:
    """The variables of `task.trained`, in its order."""
    return [_find_variable(graph, task.network, name)[0] for name in task.trained]


def read_gradients(graph: keras.Model, task: Task, values: Iterable[Any]) -> dict[str, np.ndarray]:
    """Gradients with respect to the trained variables, named and laid out as in the checkpoint."""
    return {
        name: _lay_out_as_in_checkpoint(keras.ops.convert_to_numpy(value), _find_variable(graph, task.network, name)[1])
        for name, value in zip(task.trained, values, strict=True)
    }


def find_knobs_in_force(graph: keras.Model) -> dict[str, str]:
    """Find the values of knobs that are in force in a built network: its layers' layout, precision and folding."""
    convolutions = [layer for layer in graph.layers if isinstance(layer, executed_layers.CONVOLUTIONS)]
    layouts = {LAYOUTS[layer.data_format] for layer in convolutions}
    types = {str(layer.compute_dtype) for layer in convolutions}
    folded = "conv_bn"
    if any(isinstance(layer, executed_layers.ProductConvolution) for layer in graph.layers):
        folded = "product"
    elif any(isinstance(layer, keras.layers.BatchNormalization) for layer in graph.layers):
        folded = "none"
    precisions = {name: precision for precision, name in executed_layers.DTYPE_NAMES.items()} | {"float32": "fp32"}
    return {
        "layout": "+".join(sorted(layouts)),
        "precision": "+".join(sorted(precisions.get(name, name) for name in types)),
        "folding": folded,
        "graph": "keras_layers",
    }


def find_layer(graph: keras.Model, backbone: Backbone, name: str) -> keras.Layer:
    """The layer of a checkpoint's tensor."""
    return graph.get_layer(FAMILIES[backbone.family].get_layer_name(name.rpartition(".")[0]))


def _lay_out_as_in_checkpoint(value: np.ndarray, axes: tuple[int, ...] | None) -> np.ndarray:
    return np.array(value if axes is None else value.transpose(np.argsort(axes)), order="C")


def _find_variable(graph: keras.Model, backbone: Backbone, name: str) -> tuple[keras.Variable, tuple[int, ...] | None]:
    """The variable of a checkpoint's tensor, and the axes that transpose the tensor for it; None: as it is."""
    kind = name.rpartition(".")[2]
    layer = find_layer(graph, backbone, name)
    if isinstance(layer, keras.layers.BatchNormalization):
        return getattr(layer, NORMALISATION[kind]), None
    if kind == "bias":
        return layer.bias, None
    return layer.kernel, DEPTHWISE if isinstance(layer, keras.layers.DepthwiseConv2D) else CONVOLUTION
