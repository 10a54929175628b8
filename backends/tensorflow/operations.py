"""The operations of the neutral graph in TensorFlow, one function each, in the order of the format.

Maps have their channels last. See docs/network-graph.md for what an operation computes.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from backends.exported.network_graph import ATTRIBUTES
from backends.exported.same_padding import is_same_padding

#: `tf.Tensor`.
Tensor = Any


def convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, strides, padding, dilations, groups, **_
) -> Tensor:
    """A convolution of maps; the weight is (*kernel, in / groups, out)."""
    if any(one > 1 for one in dilations) and any(one > 1 for one in strides):  # TensorFlow has no such convolution
        x = tf.pad(x, ((0, 0), *padding, (0, 0)))
        once = {"strides": (1,) * len(strides), "padding": ((0, 0),) * len(strides)}
        every = (builtins.slice(None), *(builtins.slice(None, None, stride) for stride in strides))
        return convolution(x, weight, bias, **once, dilations=dilations, groups=groups)[every]
    if is_same_padding(x.shape[1:-1], weight.shape[:-2], strides, dilations, padding):
        edges = "SAME"  # pads within the convolution: `pad` makes a copy of the whole map
    else:
        edges = "VALID"
        x = tf.pad(x, ((0, 0), *padding, (0, 0))) if any(map(any, padding)) else x
    if groups > 1 and groups == x.shape[-1] and len(weight.shape) == 4 and strides[0] == strides[1]:
        depthwise = tf.reshape(weight, (*weight.shape[:2], groups, -1))
        y = tf.nn.depthwise_conv2d(x, depthwise, (1, *strides, 1), edges, dilations=dilations)
    else:
        y = tf.nn.convolution(x, weight, strides, edges, dilations=dilations)
    return y if bias is None else tf.nn.bias_add(y, bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, **_) -> Tensor:
    """A product with the weight (in, out)."""
    y = tf.tensordot(x, weight, 1)
    return y if bias is None else y + bias


def matmul(x: Tensor, y: Tensor, **_) -> Tensor:
    """The product of matrices in the last two axes."""
    return x @ y


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, *, scale, **_) -> Tensor:
    """Scaled dot-product attention; the mask is added."""
    scores = tf.matmul(query * scale, key, transpose_b=True)
    return tf.nn.softmax(scores if mask is None else scores + mask) @ value


def lstm(gates: Tensor, weight: Tensor, bias: Tensor | None = None, *, reverse, **_) -> Tensor:
    """The hidden states along axis 1, from the inputs' part of the gates; the weight is (h, 4 h)."""
    given = gates if bias is None else gates + bias

    def advance(state: tuple[Tensor, Tensor], at: Tensor) -> tuple[Tensor, Tensor]:
        hidden, cell = state
        let_in, kept, new, let_out = tf.split(at + hidden @ weight, 4, -1)
        cell = tf.sigmoid(kept) * cell + tf.sigmoid(let_in) * tf.tanh(new)
        return tf.sigmoid(let_out) * tf.tanh(cell), cell

    zeros = tf.zeros_like(given[:, 0, : weight.shape[0]])
    hidden, _ = tf.scan(advance, tf.transpose(given, (1, 0, 2)), (zeros, zeros), reverse=reverse)
    return tf.transpose(hidden, (1, 0, 2))


def batch_norm(x: Tensor, scale: Tensor, offset: Tensor, mean: Tensor, variance: Tensor, *, epsilon, **_) -> Tensor:
    """A normalisation by running statistics (c,)."""
    return tf.nn.batch_normalization(x, mean, variance, offset, scale, epsilon)


def layer_norm(x: Tensor, scale: Tensor, offset: Tensor, *, axes, epsilon, **_) -> Tensor:
    """A normalisation over the last axes."""
    mean, variance = tf.nn.moments(x, axes, keepdims=True)
    return tf.nn.batch_normalization(x, mean, variance, offset, scale, epsilon)


def group_norm(x: Tensor, scale: Tensor, offset: Tensor, *, groups, epsilon, **_) -> Tensor:
    """A normalisation over the pixels and channels of each group."""
    shape = tf.shape(x)
    grouped = tf.reshape(x, tf.concat((shape[:-1], (groups, x.shape[-1] // groups)), 0))
    rank = len(x.shape)
    mean, variance = tf.nn.moments(grouped, (*range(1, rank - 1), rank), keepdims=True)
    return tf.reshape((grouped - mean) * tf.math.rsqrt(variance + epsilon), shape) * scale + offset


def max_pool(x: Tensor, *, window, strides, padding, **_) -> Tensor:
    """The largest value of each window; padding is the least number."""
    x = tf.pad(x, ((0, 0), *padding, (0, 0)), constant_values=-np.inf) if any(map(any, padding)) else x
    return tf.nn.max_pool2d(x, window, strides, "VALID")


def average_pool(x: Tensor, *, window, strides, padding, counts_padding, **_) -> Tensor:
    """The mean of each window, of its pixels or of padding, too."""
    if not any(map(any, padding)):
        return tf.nn.avg_pool2d(x, window, strides, "VALID")
    edges = ((0, 0), *padding, (0, 0))
    total = tf.nn.avg_pool2d(tf.pad(x, edges), window, strides, "VALID")
    if counts_padding:
        return total
    return total / tf.nn.avg_pool2d(tf.pad(tf.ones((1, *x.shape[1:3], 1), x.dtype), edges), window, strides, "VALID")


def mean(x: Tensor, *, axes, keeps_axes, **_) -> Tensor:
    """The mean over axes."""
    return tf.reduce_mean(x, axes, keepdims=keeps_axes)


def sum(x: Tensor, *, axes, keeps_axes, **_) -> Tensor:
    """The sum over axes."""
    return tf.reduce_sum(x, axes, keepdims=keeps_axes)


def max(x: Tensor, *, axes, keeps_axes, **_) -> Tensor:
    """The largest value over axes."""
    return tf.reduce_max(x, axes, keepdims=keeps_axes)


def softmax(x: Tensor, *, axis, **_) -> Tensor:
    """Softmax along an axis."""
    return tf.nn.softmax(x, axis)


def gelu(x: Tensor, *, approximate, **_) -> Tensor:
    """GELU, exact or by tanh."""
    return tf.nn.gelu(x, approximate)


def relu(x: Tensor, **_) -> Tensor:
    """ReLU."""
    return tf.nn.relu(x)


def leaky_relu(x: Tensor, *, slope, **_) -> Tensor:
    """ReLU with a slope below zero."""
    return tf.nn.leaky_relu(x, slope)


def elu(x: Tensor, **_) -> Tensor:
    """ELU."""
    return tf.nn.elu(x)


def sigmoid(x: Tensor, **_) -> Tensor:
    """The logistic function."""
    return tf.nn.sigmoid(x)


def silu(x: Tensor, **_) -> Tensor:
    """x times its sigmoid."""
    return tf.nn.silu(x)


def tanh(x: Tensor, **_) -> Tensor:
    """The hyperbolic tangent."""
    return tf.tanh(x)


def softplus(x: Tensor, **_) -> Tensor:
    """log(1 + exp(x))."""
    return tf.nn.softplus(x)


def hard_sigmoid(x: Tensor, **_) -> Tensor:
    """relu6(x + 3) / 6."""
    return tf.nn.relu6(x + 3) / 6


def hard_swish(x: Tensor, **_) -> Tensor:
    """x times its hard sigmoid."""
    return x * (tf.nn.relu6(x + 3) / 6)


def exp(x: Tensor, **_) -> Tensor:
    """The exponential."""
    return tf.exp(x)


def sqrt(x: Tensor, **_) -> Tensor:
    """The square root."""
    return tf.sqrt(x)


def clamp(x: Tensor, *, minimum, maximum, **_) -> Tensor:
    """The nearest number between two limits, of which one may be None."""
    if (minimum, maximum) == (0, 6):
        return tf.nn.relu6(x)  # runs within the convolution before it, as other limits do not
    x = x if minimum is None else tf.maximum(x, minimum)
    return x if maximum is None else tf.minimum(x, maximum)


def add(x: Tensor, y: Tensor, **_) -> Tensor:
    """The sum."""
    return x + y


def subtract(x: Tensor, y: Tensor, **_) -> Tensor:
    """The difference."""
    return x - y


def multiply(x: Tensor, y: Tensor, **_) -> Tensor:
    """The product, value by value."""
    return x * y


def divide(x: Tensor, y: Tensor, **_) -> Tensor:
    """The quotient."""
    return x / y


def power(x: Tensor, y: Tensor, **_) -> Tensor:
    """The first to the power of the second."""
    return x**y


def reshape(x: Tensor, *, shape, **_) -> Tensor:
    """The same values in another shape."""
    return tf.reshape(x, shape)


def transpose(x: Tensor, *, axes, **_) -> Tensor:
    """The axes in another order."""
    return tf.transpose(x, axes)


def concatenate(*inputs: Tensor, axis, **_) -> Tensor:
    """The values one after another."""
    return tf.concat(inputs, axis)


def slice(x: Tensor, *, axis, start, stop, step, **_) -> Tensor:
    """A part along an axis."""
    whole = (builtins.slice(None),) * axis
    return x[(*whole, builtins.slice(start, stop, step))]


def take(x: Tensor, indices: Tensor, *, axis, **_) -> Tensor:
    """The values at indices along an axis."""
    return tf.gather(x, indices, axis=axis)


def pad(x: Tensor, *, padding, value, **_) -> Tensor:
    """The values with a number around them."""
    return tf.pad(x, padding, constant_values=value)


def roll(x: Tensor, *, shifts, axes, **_) -> Tensor:
    """The values shifted along axes, the last ones first."""
    return tf.roll(x, shifts, axes)


def broadcast(x: Tensor, *, shape, **_) -> Tensor:
    """The values repeated to a shape."""
    return tf.broadcast_to(x, shape)


def tile(x: Tensor, *, repeats, **_) -> Tensor:
    """The whole repeated along each axis."""
    return tf.tile(x, repeats)


def resize_nearest(x: Tensor, *, factors, **_) -> Tensor:
    """Each pixel repeated."""
    return tf.repeat(tf.repeat(x, factors[0], 1), factors[1], 2)


def resize_bilinear(x: Tensor, *, shape, **_) -> Tensor:
    """Maps resized, pixels' centres half a pixel from the edge, without antialiasing."""
    return tf.image.resize(x, shape[1:3])


#: By the kind of the operation.
OPERATIONS: Mapping[str, Callable[..., Tensor]] = {kind: globals()[kind] for kind in ATTRIBUTES}
