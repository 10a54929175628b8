"""The operations of the neutral graph in Keras, one function each, in the order of the format.

Maps have their channels last. See docs/network-graph.md for what an operation computes.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from keras import config, ops

from backends.exported.network_graph import ATTRIBUTES
from backends.exported.same_padding import is_same_padding

#: TensorFlow has no convolution with both strides and dilations.
ON_TENSORFLOW = config.backend() == "tensorflow"
#: A value of the engine that Keras runs on.
Tensor = Any


def convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, strides, padding, dilations, groups, **_
) -> Tensor:
    """A convolution of maps; the weight is (*kernel, in / groups, out)."""
    if ON_TENSORFLOW and any(one > 1 for one in dilations) and any(one > 1 for one in strides):
        x = ops.pad(x, ((0, 0), *padding, (0, 0)))
        once = {"strides": (1,) * len(strides), "padding": ((0, 0),) * len(strides)}
        every = (builtins.slice(None), *(builtins.slice(None, None, stride) for stride in strides))
        return convolution(x, weight, bias, **once, dilations=dilations, groups=groups)[every]
    if is_same_padding(x.shape[1:-1], weight.shape[:-2], strides, dilations, padding):
        edges = "same"  # pads within the convolution: `pad` makes a copy of the whole map
    else:
        edges = "valid"
        x = ops.pad(x, ((0, 0), *padding, (0, 0))) if any(map(any, padding)) else x
    if groups > 1 and groups == x.shape[-1] and strides[0] == strides[-1]:
        depthwise = ops.reshape(weight, (*weight.shape[:-2], groups, -1))
        y = ops.depthwise_conv(x, depthwise, strides, edges, "channels_last", dilations)
    else:
        y = ops.conv(x, weight, strides, edges, "channels_last", dilations)
    return y if bias is None else y + bias


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, **_) -> Tensor:
    """A product with the weight (in, out)."""
    y = ops.matmul(x, weight)
    return y if bias is None else y + bias


def matmul(x: Tensor, y: Tensor, **_) -> Tensor:
    """The product of matrices in the last two axes."""
    return ops.matmul(x, y)


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, *, scale, **_) -> Tensor:
    """Scaled dot-product attention; the mask is added."""
    scores = ops.matmul(query * scale, ops.swapaxes(key, -1, -2))
    return ops.matmul(ops.softmax(scores if mask is None else scores + mask), value)


def lstm(gates: Tensor, weight: Tensor, bias: Tensor | None = None, *, reverse, **_) -> Tensor:
    """The hidden states along axis 1, from the inputs' part of the gates; the weight is (h, 4 h)."""
    given = gates if bias is None else gates + bias

    def advance(state: tuple[Tensor, Tensor], at: Tensor) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        hidden, cell = state
        let_in, kept, new, let_out = ops.split(at + ops.matmul(hidden, weight), 4, -1)
        cell = ops.sigmoid(kept) * cell + ops.sigmoid(let_in) * ops.tanh(new)
        state = ops.sigmoid(let_out) * ops.tanh(cell), cell
        return state, state  # on TensorFlow, what `scan` collects must be like the state

    zeros = ops.zeros_like(given[:, 0, : weight.shape[0]])
    _, (hidden, _) = ops.scan(advance, (zeros, zeros), ops.swapaxes(given, 0, 1), reverse=reverse)
    return ops.swapaxes(hidden, 0, 1)


def batch_norm(x: Tensor, scale: Tensor, offset: Tensor, mean: Tensor, variance: Tensor, *, epsilon, **_) -> Tensor:
    """A normalisation by running statistics (c,)."""
    return ops.batch_normalization(x, mean, variance, -1, offset, scale, epsilon)


def layer_norm(x: Tensor, scale: Tensor, offset: Tensor, *, axes, epsilon, **_) -> Tensor:
    """A normalisation over the last axes."""
    centred = x - ops.mean(x, axes, keepdims=True)  # on PyTorch, ops.moments computes E[x²] - E[x]²
    variance = ops.mean(ops.square(centred), axes, keepdims=True)
    return centred * ops.rsqrt(variance + epsilon) * scale + offset


def group_norm(x: Tensor, scale: Tensor, offset: Tensor, *, groups, epsilon, **_) -> Tensor:
    """A normalisation over the pixels and channels of each group."""
    shape = ops.shape(x)
    grouped = ops.reshape(x, (*shape[:-1], groups, x.shape[-1] // groups))
    rank = len(x.shape)
    axes = (*range(1, rank - 1), rank)
    centred = grouped - ops.mean(grouped, axes, keepdims=True)
    variance = ops.mean(ops.square(centred), axes, keepdims=True)
    return ops.reshape(centred * ops.rsqrt(variance + epsilon), shape) * scale + offset


def max_pool(x: Tensor, *, window, strides, padding, **_) -> Tensor:
    """The largest value of each window; padding is the least number."""
    x = ops.pad(x, ((0, 0), *padding, (0, 0)), constant_values=-np.inf) if any(map(any, padding)) else x
    return ops.max_pool(x, window, strides, "valid", "channels_last")


def average_pool(x: Tensor, *, window, strides, padding, counts_padding, **_) -> Tensor:
    """The mean of each window, of its pixels or of padding, too."""
    if not any(map(any, padding)):
        return ops.average_pool(x, window, strides, "valid", "channels_last")
    edges = ((0, 0), *padding, (0, 0))
    total = ops.average_pool(ops.pad(x, edges), window, strides, "valid", "channels_last")
    if counts_padding:
        return total
    pixels = ops.pad(ops.ones((1, *x.shape[1:3], 1), x.dtype), edges)
    return total / ops.average_pool(pixels, window, strides, "valid", "channels_last")


def mean(x: Tensor, *, axes, keeps_axes, **_) -> Tensor:
    """The mean over axes."""
    return ops.mean(x, axes, keepdims=keeps_axes)


def sum(x: Tensor, *, axes, keeps_axes, **_) -> Tensor:
    """The sum over axes."""
    return ops.sum(x, axes, keepdims=keeps_axes)


def max(x: Tensor, *, axes, keeps_axes, **_) -> Tensor:
    """The largest value over axes."""
    return ops.max(x, axes, keepdims=keeps_axes)


def softmax(x: Tensor, *, axis, **_) -> Tensor:
    """Softmax along an axis."""
    return ops.softmax(x, axis)


def gelu(x: Tensor, *, approximate, **_) -> Tensor:
    """GELU, exact or by tanh."""
    return ops.gelu(x, approximate)


def relu(x: Tensor, **_) -> Tensor:
    """ReLU."""
    return ops.relu(x)


def leaky_relu(x: Tensor, *, slope, **_) -> Tensor:
    """ReLU with a slope below zero."""
    return ops.leaky_relu(x, slope)


def elu(x: Tensor, **_) -> Tensor:
    """ELU."""
    return ops.elu(x)


def sigmoid(x: Tensor, **_) -> Tensor:
    """The logistic function."""
    return ops.sigmoid(x)


def silu(x: Tensor, **_) -> Tensor:
    """x times its sigmoid."""
    return ops.silu(x)


def tanh(x: Tensor, **_) -> Tensor:
    """The hyperbolic tangent."""
    return ops.tanh(x)


def softplus(x: Tensor, **_) -> Tensor:
    """log(1 + exp(x))."""
    return ops.softplus(x)


def hard_sigmoid(x: Tensor, **_) -> Tensor:
    """relu6(x + 3) / 6."""
    return ops.hard_sigmoid(x)


def hard_swish(x: Tensor, **_) -> Tensor:
    """x times its hard sigmoid."""
    return ops.hard_silu(x)


def exp(x: Tensor, **_) -> Tensor:
    """The exponential."""
    return ops.exp(x)


def sqrt(x: Tensor, **_) -> Tensor:
    """The square root."""
    return ops.sqrt(x)


def clamp(x: Tensor, *, minimum, maximum, **_) -> Tensor:
    """The nearest number between two limits, of which one may be None."""
    x = x if minimum is None else ops.maximum(x, minimum)
    return x if maximum is None else ops.minimum(x, maximum)


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
    return ops.reshape(x, shape)


def transpose(x: Tensor, *, axes, **_) -> Tensor:
    """The axes in another order."""
    return ops.transpose(x, axes)


def concatenate(*inputs: Tensor, axis, **_) -> Tensor:
    """The values one after another."""
    return ops.concatenate(inputs, axis)


def slice(x: Tensor, *, axis, start, stop, step, **_) -> Tensor:
    """A part along an axis."""
    whole = (builtins.slice(None),) * axis
    return x[(*whole, builtins.slice(start, stop, step))]


def take(x: Tensor, indices: Tensor, *, axis, **_) -> Tensor:
    """The values at indices along an axis."""
    return ops.take(x, indices, axis)


def pad(x: Tensor, *, padding, value, **_) -> Tensor:
    """The values with a number around them."""
    return ops.pad(x, padding, constant_values=value)


def roll(x: Tensor, *, shifts, axes, **_) -> Tensor:
    """The values shifted along axes, the last ones first."""
    return ops.roll(x, shifts, axes)


def broadcast(x: Tensor, *, shape, **_) -> Tensor:
    """The values repeated to a shape."""
    return ops.broadcast_to(x, shape)


def tile(x: Tensor, *, repeats, **_) -> Tensor:
    """The whole repeated along each axis."""
    return ops.tile(x, repeats)


def resize_nearest(x: Tensor, *, factors, **_) -> Tensor:
    """Each pixel repeated."""
    return ops.repeat(ops.repeat(x, factors[0], 1), factors[1], 2)


def resize_bilinear(x: Tensor, *, shape, **_) -> Tensor:
    """Maps resized, pixels' centres half a pixel from the edge, without antialiasing."""
    return ops.image.resize(x, shape[1:3], "bilinear", data_format="channels_last")


#: By the kind of the operation.
OPERATIONS: Mapping[str, Callable[..., Tensor]] = {kind: globals()[kind] for kind in ATTRIBUTES}
