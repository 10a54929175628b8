"""TensorFlow's version of the kernels by which a machine's rates are measured."""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

from backends.convolutions import Convolution, compute_same_padding
from backends.kernels import Addition, ConvolutionPass, Convolutions, Gemm, Kernel
from backends.task import Variant

#: By precision. In tf32 the hardware rounds.
DTYPES = {"fp32": tf.float32, "tf32": tf.float32, "bf16": tf.bfloat16, "fp16": tf.float16}


def build(kernel: Kernel, variant: Variant) -> Callable[[int], object]:
    """See `Backend.kernel`. The last result is read, which waits for the device."""
    call = _make_call(kernel, variant)

    def run(times: int) -> None:
        result = None
        for _ in range(times):
            result = call()
        if result is not None:
            result.numpy()

    return run


def _make_call(kernel: Kernel, variant: Variant) -> Callable[[], tf.Tensor]:
    if isinstance(kernel, Gemm):
        shape = (kernel.side, kernel.side)
        a, b = (_make_array(shape, kernel.precision) for _ in range(2))
        return tf.function(lambda: tf.matmul(a, b)[0, 0])
    if isinstance(kernel, Addition):
        total, part = (tf.Variable(_make_array((kernel.size // 4,), "fp32")) for _ in range(2))
        return tf.function(lambda: _add_in_place(total, part))
    if isinstance(kernel, Convolutions):
        calls = [_make_convolution(layer, what, kernel.batch, variant) for layer, what in kernel.calls]
        return tf.function(lambda: _run_in_sequence(calls))
    return _make_chain(kernel.count)


def _add_in_place(total: tf.Variable, part: tf.Variable) -> tf.Tensor:
    total.assign_add(part)
    return tf.gather(total, 0)


def _run_in_sequence(calls: list[Callable[[], tf.Tensor]]) -> tf.Tensor:
    """Run the calls one after the other, as in a network. Without dependencies TensorFlow would run them in parallel.

    One number of each result is used, so that TensorFlow does not remove the call from the graph.
    """
    used: list[tf.Tensor] = []
    result = None
    for call in calls:
        with tf.control_dependencies([result] if used else []):
            result = call()
        used.append(tf.reshape(result, [-1])[0])
    return tf.add_n(used)


def _make_convolution(
    layer: Convolution, what: ConvolutionPass, batch: int, variant: Variant
) -> Callable[[], tf.Tensor]:
    """One pass of a convolution. Padding that is not `same` is a separate operation, as in KerasHub's ResNet."""
    edges = (layer.pad_before, layer.pad_after)
    even = edges == compute_same_padding(layer.side, layer.kernel, layer.stride)
    around = [(0, 0), (0, 0), (0, 0), (0, 0)] if even else [(0, 0), edges, edges, (0, 0)]
    padded = layer.side + sum(around[1])
    inputs = _make_array((batch, layer.side, layer.side, layer.in_channels), variant.precision)
    outputs = _make_array((batch, layer.out_side, layer.out_side, layer.out_channels), variant.precision)
    out, into, kernel, _ = layer.weights  # of one group
    deep = layer.groups > 1
    weights = _make_array((kernel, kernel, *((layer.in_channels, 1) if deep else (into, out))), variant.precision)
    how = {"strides": [1, layer.stride, layer.stride, 1], "padding": "SAME" if even else "VALID"}

    def images() -> tf.Tensor:
        return inputs if even else tf.pad(inputs, around)

    if what == "forward":
        forward = tf.raw_ops.DepthwiseConv2dNative if deep else tf.raw_ops.Conv2D
        return lambda: forward(input=images(), filter=weights, **how)
    if what == "weight_gradient":
        of_weights = tf.raw_ops.DepthwiseConv2dNativeBackpropFilter if deep else tf.raw_ops.Conv2DBackpropFilter
        return lambda: of_weights(input=images(), filter_sizes=weights.shape, out_backprop=outputs, **how)
    of_inputs = tf.raw_ops.DepthwiseConv2dNativeBackpropInput if deep else tf.raw_ops.Conv2DBackpropInput
    sizes = (batch, padded, padded, layer.in_channels)
    return lambda: of_inputs(input_sizes=sizes, filter=weights, out_backprop=outputs, **how)


def _make_array(shape: tuple[int, ...], precision: str) -> tf.Tensor:
    """Numbers from -1 to 1. They differ, because a GPU is faster on equal numbers; none is drawn at random."""
    return tf.cast(tf.reshape(tf.linspace(-1.0, 1.0, math.prod(shape)), shape), DTYPES[precision])


def _make_chain(count: int) -> Callable[[], tf.Tensor]:
    """A chain of two alternating operations; of a single repeated one TensorFlow would make one operation."""
    number = tf.zeros(1)

    def chain() -> tf.Tensor:
        value = number
        for _ in range(count // 2):
            value = tf.tanh(value) + number
        return value

    return tf.function(chain)
