"""Single convolutions in TensorFlow, in every form that may be the quickest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

if TYPE_CHECKING:
    from tests.yardsticks.extraction_in_worker import Convolution

DTYPES = {"fp32": tf.float32, "bf16": tf.bfloat16}


def forms(one: Convolution, batch: int, precision: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """With weights that are constants and variables, and as a product where the map is no larger than the kernel."""
    dtype = DTYPES[precision]

    def drawn(*shape: int) -> tf.Tensor:
        return tf.cast(np.random.default_rng(0).standard_normal(shape), dtype)

    images = drawn(batch, one.side, one.side, one.into)
    constant = drawn(one.kernel, one.kernel, one.into, one.out)
    edge = one.kernel // 2
    padding = [[0, 0], [edge, edge], [edge, edge], [0, 0]]
    for name, weights in (("constants", constant), ("variables", tf.Variable(constant))):
        yield name, partial(_convolution(weights, one.stride, padding), images)
    if one.kernel >= one.side:
        weights = drawn(one.side**2 * one.into, one.after**2 * one.out)
        yield "product", partial(tf.function(lambda values: tf.matmul(values, weights)), drawn(batch, weights.shape[0]))


def _convolution(weights: tf.Tensor | tf.Variable, stride: int, padding: list[list[int]]) -> Callable:
    return tf.function(lambda images: tf.nn.conv2d(images, weights, stride, padding))
