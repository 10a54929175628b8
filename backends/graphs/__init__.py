"""The backbones as Keras graphs, shared by every backend that builds on Keras.

Layers that hold weights are found by the tensor's prefix in the checkpoint (`layer1.0.conv1`), whatever Keras
calls them, so loading and reading back is one rule for all networks.
"""

from __future__ import annotations

import keras
import numpy as np

from backends.backbones import Backbone
from backends.base import Tensors
from backends.graphs import efficientnet_lite, resnet
from backends.graphs.batch_norm import BatchStatistics

FAMILIES = {"resnet": resnet, "efficientnet_lite": efficientnet_lite}

#: PyTorch's layout to Keras': (out, in, h, w) to (h, w, in, out); depthwise (channels, 1, h, w) to (h, w, channels, 1).
CONVOLUTION = (2, 3, 1, 0)
DEPTHWISE = (2, 3, 0, 1)


def build(backbone: Backbone, image_size: int, batch_norm: str) -> keras.Model:
    """The frozen network from inputs (n, s, s, 3) to its last feature map (n, h, w, d).

    In mode `frozen` nothing is trainable, and Keras runs every normalisation in inference mode. In mode
    `batch_stats` the normalisation layers stay trainable, which is what makes them use and move statistics,
    and just their gamma and beta are not.
    """
    graph = FAMILIES[backbone.family].build(backbone, image_size)
    if batch_norm == "frozen":
        graph.trainable = False
        return graph
    graph = keras.models.clone_model(graph, clone_function=BatchStatistics.in_place_of)
    for layer in graph.layers:
        if isinstance(layer, BatchStatistics):
            layer.gamma.trainable = layer.beta.trainable = False
        else:
            layer.trainable = False
    return graph


def load(graph: keras.Model, backbone: Backbone, checkpoint: Tensors) -> None:
    """Copy the checkpoint into the graph."""
    for name, variable, axes in _variables(graph, backbone):
        variable.assign(checkpoint[name] if axes is None else checkpoint[name].transpose(axes))


def read(graph: keras.Model, backbone: Backbone) -> dict[str, np.ndarray]:
    """The graph's tensors, named and laid out as in the checkpoint."""
    tensors = {}
    for name, variable, axes in _variables(graph, backbone):
        value = keras.ops.convert_to_numpy(variable)
        tensors[name] = np.array(value if axes is None else value.transpose(np.argsort(axes)), order="C")
    return tensors


def _variables(graph: keras.Model, backbone: Backbone):
    """Tensor name, Keras variable, and the axes that turn the first into the second."""
    attributes = {"bias": "beta", "running_mean": "moving_mean", "running_var": "moving_variance"}
    for name in backbone.tensors():
        prefix, kind = name.rsplit(".", 1)
        layer = graph.get_layer(FAMILIES[backbone.family].layer_name(prefix))
        if isinstance(layer, keras.layers.BatchNormalization):
            yield name, getattr(layer, attributes.get(kind, "gamma")), None
        else:
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            yield name, layer.kernel, DEPTHWISE if depthwise else CONVOLUTION
