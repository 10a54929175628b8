"""JAX's version of the kernels by which a machine's rates are measured."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax

from backends.convolutions import Convolution
from backends.engines.jax.device import DTYPES
from backends.kernels import Addition, ConvolutionPass, Convolutions, Gemm, Kernel
from backends.task import Variant

#: Passes of XLA that make one operation of several, on CPUs and on GPUs.
FUSION_PASSES = "fusion,priority-fusion"


def build(kernel: Kernel, variant: Variant) -> Callable[[int], object]:
    """See `Backend.kernel`. The last result is awaited; the device computes them in their order."""
    call = _make_call(kernel, variant)

    def run(times: int) -> None:
        result = None
        for _ in range(times):
            result = call()
        jax.block_until_ready(result)

    return run


def _make_call(kernel: Kernel, variant: Variant) -> Callable[[], jax.Array]:
    """The arrays are arguments: what a compiled function holds are constants, which XLA computes with ahead of time."""
    if isinstance(kernel, Gemm):
        shape = (kernel.side, kernel.side)
        arrays = tuple(_make_array(shape, kernel.precision) for _ in range(2))
        return partial(jax.jit(lambda a, b: (a @ b)[0, 0]), *arrays)
    if isinstance(kernel, Addition):
        return _Accumulator(*(_make_array((kernel.size // 4,), "fp32") for _ in range(2)))
    if isinstance(kernel, Convolutions):
        calls = [_make_convolution(layer, what, kernel.batch, variant) for layer, what in kernel.calls]
        functions, pairs = [function for function, *_ in calls], [arrays for _, *arrays in calls]
        return partial(jax.jit(partial(_run_in_sequence, functions)), pairs)
    return _make_chain(kernel.count)


class _Accumulator:
    """Adds an array to another in place: its memory is donated to the sum. (docs.jax.dev, "Buffer donation")"""

    def __init__(self, total: jax.Array, part: jax.Array) -> None:
        self.total, self.part = total, part
        self.add = jax.jit(jnp.add, donate_argnums=0)

    def __call__(self) -> jax.Array:
        self.total = self.add(self.total, self.part)
        return self.total


def _run_in_sequence(functions: list[Callable], pairs: list[list[jax.Array]]) -> jax.Array:
    """Run the functions one after the other, as in a network. Without dependencies XLA could run them in parallel, so
    the smaller argument of each depends on a number of the result before. Floating-point zeros are not simplified.
    """
    number = jnp.zeros(())
    for function, (first, second) in zip(functions, pairs, strict=True):
        nothing = (number * 0).astype(first.dtype)
        result = function(first + nothing, second) if first.size < second.size else function(first, second + nothing)
        number = result.ravel()[0].astype(jnp.float32)
    return number


def _make_convolution(
    layer: Convolution, what: ConvolutionPass, batch: int, variant: Variant
) -> tuple[Callable[[jax.Array, jax.Array], jax.Array], jax.Array, jax.Array]:
    """One pass of a convolution, and the two arrays that it is computed from."""
    out, into, kernel, _ = layer.weights  # of one group
    inputs = _make_array((batch, layer.side, layer.side, layer.in_channels), variant.precision)
    outputs = _make_array((batch, layer.out_side, layer.out_side, layer.out_channels), variant.precision)
    weights = _make_array((kernel, kernel, into, out), variant.precision)

    def convolve(images: jax.Array, filters: jax.Array) -> jax.Array:
        return lax.conv_general_dilated(
            images,
            filters,
            (layer.stride, layer.stride),
            [(layer.pad_before, layer.pad_after)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=layer.groups,
        )

    if what == "forward":
        return convolve, inputs, weights
    if what == "weight_gradient":
        return lambda images, gradient: _transpose(partial(convolve, images), weights, gradient), inputs, outputs
    return (
        lambda gradient, filters: _transpose(lambda images: convolve(images, filters), inputs, gradient),
        outputs,
        weights,
    )


def _transpose(function: Callable[[jax.Array], jax.Array], like: jax.Array, gradient: jax.Array) -> jax.Array:
    """The gradient of a linear function's argument, an array like `like`, from that of its result."""
    return jax.linear_transpose(function, like)(gradient)[0]


def _make_array(shape: tuple[int, ...], precision: str) -> jax.Array:
    """Numbers from -1 to 1. They differ, because a GPU is faster on equal numbers; none is drawn at random."""
    return jnp.linspace(-1.0, 1.0, math.prod(shape)).reshape(shape).astype(DTYPES[precision])


def _make_chain(count: int) -> Callable[[], jax.Array]:
    """A chain of two alternating operations in one compiled function. XLA would make one operation of all of them, so
    that its passes that do are off.
    """

    def chain(number: jax.Array) -> jax.Array:
        value = number
        for _ in range(count // 2):
            value = jnp.tanh(value) + number
        return value

    compiled = jax.jit(chain, compiler_options={"xla_disable_hlo_passes": FUSION_PASSES})
    return partial(compiled, jnp.zeros(1))
