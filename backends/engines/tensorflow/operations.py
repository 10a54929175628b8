"""The frozen backbone in plain TensorFlow operations, without Keras layers above them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import tensorflow as tf

from backends.backbones import Backbone
from backends.graphs import CONVOLUTION, DEPTHWISE
from backends.values import Tensors


class Operations:
    """The backbone up to its pooled features (n, d), called like a Keras model on inputs (n, s, s, 3).

    Padding, strides and constants are those of `backends.graphs`.
    """

    def __init__(self, network: Backbone) -> None:
        self.network = network
        self.tensors = {
            name: tf.Variable(tf.zeros(_lay_out_for_tensorflow(np.empty(shape), name).shape), trainable=False)
            for name, shape in network.tensors().items()
        }

    def __call__(self, inputs: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Features. `training` is accepted as by a Keras model, and has no effect on a frozen backbone."""
        return tf.reduce_mean(FAMILIES[self.network.family](self, inputs), [1, 2])

    def load(self, tensors: Tensors) -> None:
        """Copy tensors, laid out as in the checkpoint."""
        for name, tensor in tensors.items():
            self.tensors[name].assign(_lay_out_for_tensorflow(tensor, name))

    def read(self, names: Iterable[str]) -> dict[str, np.ndarray]:
        """The tensors' current values, laid out as in the checkpoint."""
        return {name: _lay_out_as_in_checkpoint(self.tensors[name].numpy(), name) for name in names}

    def convolution(self, x: tf.Tensor, name: str, stride: int = 1, pad: int | None = None) -> tf.Tensor:
        """A convolution, padded by `pad` pixels on each side, or by TensorFlow's `same`."""
        padding = "SAME" if pad is None else [[0, 0], [pad, pad], [pad, pad], [0, 0]]
        return tf.nn.conv2d(x, self.tensors[f"{name}.weight"], stride, padding)

    def depthwise(self, x: tf.Tensor, name: str, stride: int) -> tf.Tensor:
        """A depthwise convolution with TensorFlow's `same` padding."""
        return tf.nn.depthwise_conv2d(x, self.tensors[f"{name}.weight"], [1, stride, stride, 1], "SAME")

    def norm(self, x: tf.Tensor, name: str) -> tf.Tensor:
        """A batch normalisation by the checkpoint's statistics."""
        scale, offset, mean, variance = (
            self.tensors[f"{name}.{kind}"] for kind in ("weight", "bias", "running_mean", "running_var")
        )
        epsilon = self.network.epsilon
        return tf.compat.v1.nn.fused_batch_norm(x, scale, offset, mean, variance, epsilon, is_training=False)[0]


def compute_resnet(ops: Operations, x: tf.Tensor) -> tf.Tensor:
    """As `backends.graphs.resnet`, to the last feature map. The max pool can pad by zeros: no input is less."""
    x = tf.nn.relu(ops.norm(ops.convolution(x, "conv1", 2, 3), "bn1"))
    x = tf.nn.max_pool2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, "VALID")
    for stage, repeats in enumerate(ops.network.blocks, start=1):
        for index in range(repeats):
            x = _compute_block(ops, x, f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1)
    return x


def _compute_block(ops: Operations, x: tf.Tensor, prefix: str, stride: int) -> tf.Tensor:
    """A residual block; the stride is that of its first 3x3."""
    basic = ops.network.block == "basic"
    shapes = ((1, stride, 1), (2, 1, 1)) if basic else ((1, 1, 0), (2, stride, 1), (3, 1, 0))
    shortcut = x
    if f"{prefix}.downsample.0.weight" in ops.tensors:
        shortcut = ops.norm(ops.convolution(x, f"{prefix}.downsample.0", stride, 0), f"{prefix}.downsample.1")
    for number, own_stride, pad in shapes:
        x = ops.norm(ops.convolution(x, f"{prefix}.conv{number}", own_stride, pad), f"{prefix}.bn{number}")
        x = tf.nn.relu(x + shortcut if number == len(shapes) else x)
    return x


def compute_efficientnet_lite(ops: Operations, x: tf.Tensor) -> tf.Tensor:
    """As `backends.graphs.efficientnet_lite`, to the last feature map."""
    x = tf.nn.relu6(ops.norm(ops.convolution(x, "conv_stem", 2), "bn1"))
    for number, stage in enumerate(ops.network.stages):
        for index in range(stage.repeats):
            prefix, stride, shortcut = f"blocks.{number}.{index}", stage.stride if index == 0 else 1, x
            if stage.expansion == 1:
                x = tf.nn.relu6(ops.norm(ops.depthwise(x, f"{prefix}.conv_dw", stride), f"{prefix}.bn1"))
                x = ops.norm(ops.convolution(x, f"{prefix}.conv_pw"), f"{prefix}.bn2")
            else:
                x = tf.nn.relu6(ops.norm(ops.convolution(x, f"{prefix}.conv_pw"), f"{prefix}.bn1"))
                x = tf.nn.relu6(ops.norm(ops.depthwise(x, f"{prefix}.conv_dw", stride), f"{prefix}.bn2"))
                x = ops.norm(ops.convolution(x, f"{prefix}.conv_pwl"), f"{prefix}.bn3")
            if stride == 1 and shortcut.shape[-1] == stage.channels:
                x = x + shortcut
    return tf.nn.relu6(ops.norm(ops.convolution(x, "conv_head"), "bn2"))


FAMILIES: dict[str, Callable[[Operations, tf.Tensor], tf.Tensor]] = {
    "resnet": compute_resnet,
    "efficientnet_lite": compute_efficientnet_lite,
}


def _get_axes(name: str) -> tuple[int, ...]:
    return DEPTHWISE if ".conv_dw." in name else CONVOLUTION


def _lay_out_for_tensorflow(tensor: np.ndarray, name: str) -> np.ndarray:
    """Transpose a checkpoint's tensor for TensorFlow's kernels."""
    return tensor.transpose(_get_axes(name)) if tensor.ndim == 4 else tensor


def _lay_out_as_in_checkpoint(tensor: np.ndarray, name: str) -> np.ndarray:
    return np.array(tensor.transpose(np.argsort(_get_axes(name))), order="C") if tensor.ndim == 4 else tensor
