"""EfficientNet-Lite as TensorFlow trained it: `same` padding, epsilon 1e-3, ReLU6, no squeeze-and-excitation.

KerasHub's lite variants use other padding and other normalisation constants than the checkpoint needs.
"""

from __future__ import annotations

import keras
from keras import layers

from backends.backbones import Backbone


def build(backbone: Backbone, image_size: int) -> keras.Model:
    """The network from inputs (n, s, s, 3) to its last feature map; layers have timm's names, see `get_layer_name`."""

    def norm(x, name: str, activate: bool = True):
        name = get_layer_name(name)
        x = layers.BatchNormalization(epsilon=backbone.epsilon, momentum=backbone.momentum, name=name)(x)
        return layers.ReLU(max_value=6.0, name=f"{name}_act")(x) if activate else x

    def convolution(x, channels: int, name: str, kernel: int = 1, stride: int = 1):
        return layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=get_layer_name(name))(x)

    def depthwise(x, kernel: int, stride: int, name: str):
        return layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=get_layer_name(name))(x)

    inputs = keras.Input((image_size, image_size, 3))
    x = norm(convolution(inputs, 32, "conv_stem", kernel=3, stride=2), "bn1")
    for number, stage in enumerate(backbone.stages):
        for index in range(stage.repeats):
            prefix = f"blocks.{number}.{index}"
            stride = stage.stride if index == 0 else 1
            shortcut = x
            if stage.expansion == 1:
                x = norm(depthwise(x, stage.kernel, stride, f"{prefix}.conv_dw"), f"{prefix}.bn1")
                x = norm(convolution(x, stage.channels, f"{prefix}.conv_pw"), f"{prefix}.bn2", activate=False)
            else:
                wide = x.shape[-1] * stage.expansion
                x = norm(convolution(x, wide, f"{prefix}.conv_pw"), f"{prefix}.bn1")
                x = norm(depthwise(x, stage.kernel, stride, f"{prefix}.conv_dw"), f"{prefix}.bn2")
                x = norm(convolution(x, stage.channels, f"{prefix}.conv_pwl"), f"{prefix}.bn3", activate=False)
            if stride == 1 and shortcut.shape[-1] == stage.channels:
                x = layers.Add(name=get_layer_name(f"{prefix}.add"))([x, shortcut])
    x = norm(convolution(x, backbone.features, "conv_head"), "bn2")
    return keras.Model(inputs, x, name=backbone.name)


def get_layer_name(prefix: str) -> str:
    """The name of the layer that timm calls `prefix`: without full stops, which PyTorch does not allow in names."""
    return prefix.replace(".", "_")
