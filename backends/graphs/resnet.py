"""ResNet as a Keras graph: KerasHub's."""

from __future__ import annotations

import re

import keras
from keras_hub.models import ResNetBackbone

from backends.backbones import Backbone


def build(backbone: Backbone, image_size: int) -> keras.Model:
    """KerasHub's backbone with torchvision's padding and strides (version 1, stride on the 3x3)."""
    return ResNetBackbone(
        input_conv_filters=[64],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 128, 256, 512],
        stackwise_num_blocks=list(backbone.blocks),
        stackwise_num_strides=[1, 2, 2, 2],
        block_type=f"{backbone.block}_block",
        image_shape=(image_size, image_size, 3),
    )


def get_layer_name(prefix: str) -> str:
    """KerasHub's name of the layer that torchvision calls `prefix`.

    Raises:
        KeyError: torchvision has no such layer.
    """
    if prefix in ("conv1", "bn1"):
        return {"conv1": "conv1_conv", "bn1": "conv1_bn"}[prefix]
    match = re.fullmatch(r"layer(\d)\.(\d+)\.(conv|bn|downsample\.)(\d)", prefix)
    if not match:
        raise KeyError(prefix)
    stage, block, kind, number = match.groups()
    if kind == "downsample.":
        kind, number = ("conv", "bn")[int(number)], "0"
    return f"stack{int(stage) - 1}_block{block}_{number}_{kind}"
