"""Single operations, to measure the machine's rates by."""

from __future__ import annotations

import math
from collections.abc import Callable

import tensorflow as tf

from backends.convolutions import Convolution, same
from backends.kernels import Addition, Convolutions, Gemm, Kernel, Pass
from backends.task import Variant

#: In tf32 it is the hardware that rounds.
DTYPES = {"fp32": tf.float32, "tf32": tf.float32, "bf16": tf.bfloat16, "fp16": tf.float16}


def build(kernel: Kernel, variant: Variant) -> Callable[[int], object]:
    """See `Backend.kernel`. What a graph computes is read at the end, which waits for the device."""
    once = _once(kernel, variant)

    def run(times: int) -> None:
        done = None
        for _ in range(times):
            done = once()
        if done is not None:
            done.numpy()

    return run


def _once(kernel: Kernel, variant: Variant) -> Callable[[], tf.Tensor]:
    if isinstance(kernel, Gemm):
        shape = (kernel.side, kernel.side)
        a, b = (_numbers(shape, kernel.precision) for _ in range(2))
        return tf.function(lambda: tf.matmul(a, b)[0, 0])
    if isinstance(kernel, Addition):
        total, part = (tf.Variable(_numbers((kernel.size // 4,), "fp32")) for _ in range(2))
        return tf.function(lambda: _added(total, part))
    if isinstance(kernel, Convolutions):
        calls = [_convolution(layer, what, kernel.batch, variant) for layer, what in kernel.calls]
        return tf.function(lambda: _in_turn(calls))
    return _small(kernel.count)


def _added(total: tf.Variable, part: tf.Variable) -> tf.Tensor:
    total.assign_add(part)
    return tf.gather(total, 0)


def _in_turn(calls: list[Callable[[], tf.Tensor]]) -> tf.Tensor:
    """One after the other, as in a network, where TensorFlow would run them side by side; a number of each is kept, or
    it would leave them out.
    """
    kept: list[tf.Tensor] = []
    done = None
    for call in calls:
        with tf.control_dependencies([done] if kept else []):
            done = call()
        kept.append(tf.reshape(done, [-1])[0])
    return tf.add_n(kept)


def _convolution(layer: Convolution, what: Pass, batch: int, variant: Variant) -> Callable[[], tf.Tensor]:
    """One pass of a convolution. Padding that is not `same` is an operation of its own, as in KerasHub's ResNet."""
    edges = (layer.before, layer.after)
    even = edges == same(layer.side, layer.kernel, layer.stride)
    around = [(0, 0), (0, 0), (0, 0), (0, 0)] if even else [(0, 0), edges, edges, (0, 0)]
    padded = layer.side + sum(around[1])
    inputs = _numbers((batch, layer.side, layer.side, layer.into), variant.precision)
    outputs = _numbers((batch, layer.out_side, layer.out_side, layer.out), variant.precision)
    out, into, kernel, _ = layer.weights  # of one group
    deep = layer.groups > 1
    weights = _numbers((kernel, kernel, *((layer.into, 1) if deep else (into, out))), variant.precision)
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
    sizes = (batch, padded, padded, layer.into)
    return lambda: of_inputs(input_sizes=sizes, filter=weights, out_backprop=outputs, **how)


def _numbers(shape: tuple[int, ...], precision: str) -> tf.Tensor:
    """Numbers of -1 to 1, for a GPU is quicker where all are the same; nothing is drawn."""
    return tf.cast(tf.reshape(tf.linspace(-1.0, 1.0, math.prod(shape)), shape), DTYPES[precision])


def _small(count: int) -> Callable[[], tf.Tensor]:
    """Two in turns: of one alone TensorFlow would make a single operation."""
    number = tf.zeros(1)

    def chain() -> tf.Tensor:
        value = number
        for _ in range(count // 2):
            value = tf.tanh(value) + number
        return value

    return tf.function(chain)
