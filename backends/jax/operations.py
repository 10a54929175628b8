"""The operations of the neutral graph in JAX, one function each, in the order of the format.

Maps have their channels last. See docs/network-graph.md for what an operation computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from backends.exported.network_graph import ATTRIBUTES

#: `jax.Array`, or what stands for one while a function is traced.
Tensor = Any


def convolution(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *, strides, padding, dilations, groups, **_
) -> Tensor:
    """A convolution of maps; the weight is (*kernel, in / groups, out)."""
    spatial = "DHW"[-(x.ndim - 2) :]
    numbers = (f"N{spatial}C", f"{spatial}IO", f"N{spatial}C")
    y = lax.conv_general_dilated(
        x, weight, strides, padding, rhs_dilation=dilations, dimension_numbers=numbers, feature_group_count=groups
    )
    return y if bias is None else y + bias


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None, **_) -> Tensor:
    """A product with the weight (in, out)."""
    y = x @ weight
    return y if bias is None else y + bias


def matmul(x: Tensor, y: Tensor, **_) -> Tensor:
    """The product of matrices in the last two axes."""
    return x @ y


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None, *, scale, **_) -> Tensor:
    """Scaled dot-product attention; the mask is added."""
    scores = (query * scale) @ jnp.swapaxes(key, -1, -2)
    return jax.nn.softmax(scores if mask is None else scores + mask) @ value


def lstm(gates: Tensor, weight: Tensor, bias: Tensor | None = None, *, reverse, **_) -> Tensor:
    """The hidden states along axis 1, from the inputs' part of the gates; the weight is (h, 4 h)."""
    given = gates if bias is None else gates + bias

    def advance(state: tuple[Tensor, Tensor], at: Tensor) -> tuple[tuple[Tensor, Tensor], Tensor]:
        hidden, cell = state
        let_in, kept, new, let_out = jnp.split(at + hidden @ weight, 4, -1)
        cell = jax.nn.sigmoid(kept) * cell + jax.nn.sigmoid(let_in) * jnp.tanh(new)
        hidden = jax.nn.sigmoid(let_out) * jnp.tanh(cell)
        return (hidden, cell), hidden

    zeros = jnp.zeros_like(given[:, 0, : weight.shape[0]])
    _, hidden = lax.scan(advance, (zeros, zeros), given.swapaxes(0, 1), reverse=reverse)
    return hidden.swapaxes(0, 1)


def batch_norm(x: Tensor, scale: Tensor, offset: Tensor, mean: Tensor, variance: Tensor, *, epsilon, **_) -> Tensor:
    """A normalisation by running statistics (c,)."""
    return (x - mean) * (scale / jnp.sqrt(variance + epsilon)) + offset


def layer_norm(x: Tensor, scale: Tensor, offset: Tensor, *, axes, epsilon, **_) -> Tensor:
    """A normalisation over the last axes."""
    mean = x.mean(axes, keepdims=True)
    variance = x.var(axes, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + epsilon) * scale + offset


def group_norm(x: Tensor, scale: Tensor, offset: Tensor, *, groups, epsilon, **_) -> Tensor:
    """A normalisation over the pixels and channels of each group."""
    grouped = x.reshape(*x.shape[:-1], groups, -1)
    axes = (*range(1, x.ndim - 1), x.ndim)
    mean, variance = grouped.mean(axes, keepdims=True), grouped.var(axes, keepdims=True)
    return ((grouped - mean) * lax.rsqrt(variance + epsilon)).reshape(x.shape) * scale + offset


def max_pool(x: Tensor, *, window, strides, padding, **_) -> Tensor:
    """The largest value of each window; padding is the least number."""
    return _pool(x, -jnp.inf, lax.max, window, strides, padding)


def average_pool(x: Tensor, *, window, strides, padding, counts_padding, **_) -> Tensor:
    """The mean of each window, of its pixels or of padding, too."""
    total = _pool(x, 0.0, lax.add, window, strides, padding)
    if counts_padding or not any(map(any, padding)):
        return total / (window[0] * window[1])
    return total / _pool(jnp.ones((1, *x.shape[1:3], 1), x.dtype), 0.0, lax.add, window, strides, padding)


def _pool(x: Tensor, start: float, reduce: Any, window: Any, strides: Any, padding: Any) -> Tensor:
    edges = ((0, 0), *padding, (0, 0))
    # Of NumPy: where it is traced, JAX does not know the reduction, and has no gradient of it.
    return lax.reduce_window(x, np.array(start, x.dtype), reduce, (1, *window, 1), (1, *strides, 1), edges)


def mean(x: Tensor, *, axes, keeps_axes, **_) -> Tensor:
    """The mean over axes."""
    return x.mean(axes, keepdims=keeps_axes)


def sum(x: Tensor, *, axes, keeps_axes, **_) -> Tensor:
    """The sum over axes."""
    return x.sum(axes, keepdims=keeps_axes)


def max(x: Tensor, *, axes, keeps_axes, **_) -> Tensor:
    """The largest value over axes."""
    return x.max(axes, keepdims=keeps_axes)


def softmax(x: Tensor, *, axis, **_) -> Tensor:
    """Softmax along an axis."""
    return jax.nn.softmax(x, axis)


def gelu(x: Tensor, *, approximate, **_) -> Tensor:
    """GELU, exact or by tanh."""
    return jax.nn.gelu(x, approximate)


def relu(x: Tensor, **_) -> Tensor:
    """ReLU."""
    return jax.nn.relu(x)


def leaky_relu(x: Tensor, *, slope, **_) -> Tensor:
    """ReLU with a slope below zero."""
    return jax.nn.leaky_relu(x, slope)


def elu(x: Tensor, **_) -> Tensor:
    """ELU."""
    return jax.nn.elu(x)


def sigmoid(x: Tensor, **_) -> Tensor:
    """The logistic function."""
    return jax.nn.sigmoid(x)


def silu(x: Tensor, **_) -> Tensor:
    """x times its sigmoid."""
    return jax.nn.silu(x)


def tanh(x: Tensor, **_) -> Tensor:
    """The hyperbolic tangent."""
    return jnp.tanh(x)


def softplus(x: Tensor, **_) -> Tensor:
    """log(1 + exp(x))."""
    return jax.nn.softplus(x)


def hard_sigmoid(x: Tensor, **_) -> Tensor:
    """relu6(x + 3) / 6."""
    return jax.nn.hard_sigmoid(x)


def hard_swish(x: Tensor, **_) -> Tensor:
    """x times its hard sigmoid."""
    return jax.nn.hard_swish(x)


def exp(x: Tensor, **_) -> Tensor:
    """The exponential."""
    return jnp.exp(x)


def sqrt(x: Tensor, **_) -> Tensor:
    """The square root."""
    return jnp.sqrt(x)


def clamp(x: Tensor, *, minimum, maximum, **_) -> Tensor:
    """The nearest number between two limits, of which one may be None."""
    return jnp.clip(x, minimum, maximum)


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
    return x.reshape(shape)


def transpose(x: Tensor, *, axes, **_) -> Tensor:
    """The axes in another order."""
    return x.transpose(axes)


def concatenate(*inputs: Tensor, axis, **_) -> Tensor:
    """The values one after another."""
    return jnp.concatenate(inputs, axis)


def slice(x: Tensor, *, axis, start, stop, step, **_) -> Tensor:
    """A part along an axis."""
    return lax.slice_in_dim(x, start, stop, step, axis)


def take(x: Tensor, indices: Tensor, *, axis, **_) -> Tensor:
    """The values at indices along an axis."""
    return jnp.take(x, indices, axis)


def pad(x: Tensor, *, padding, value, **_) -> Tensor:
    """The values with a number around them."""
    return jnp.pad(x, padding, constant_values=value)


def roll(x: Tensor, *, shifts, axes, **_) -> Tensor:
    """The values shifted along axes, the last ones first."""
    return jnp.roll(x, shifts, axes)


def broadcast(x: Tensor, *, shape, **_) -> Tensor:
    """The values repeated to a shape."""
    return jnp.broadcast_to(x, shape)


def tile(x: Tensor, *, repeats, **_) -> Tensor:
    """The whole repeated along each axis."""
    return jnp.tile(x, repeats)


def resize_nearest(x: Tensor, *, factors, **_) -> Tensor:
    """Each pixel repeated."""
    return x.repeat(factors[0], 1).repeat(factors[1], 2)


def resize_bilinear(x: Tensor, *, shape, **_) -> Tensor:
    """Maps resized, pixels' centres half a pixel from the edge, without antialiasing."""
    return jax.image.resize(x, shape, "linear", antialias=False)


#: By the kind of the operation.
OPERATIONS: Mapping[str, Callable[..., Tensor]] = {kind: globals()[kind] for kind in ATTRIBUTES}
