"""Single convolutions in JAX, in every form that may be the quickest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import jax
import numpy as np
from jax import lax

if TYPE_CHECKING:
    from tests.yardsticks.extraction_in_worker import Convolution

DTYPES = {"fp32": "float32", "bf16": "bfloat16"}


def forms(one: Convolution, batch: int, precision: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """With weights that are arguments and constants, and as a product where the map is no larger than the kernel."""

    def draw(*shape: int) -> jax.Array:
        return jax.numpy.array(np.random.default_rng(0).standard_normal(shape), DTYPES[precision])

    def convolve(maps: jax.Array, weights: jax.Array) -> jax.Array:
        edge = one.kernel // 2
        return lax.conv_general_dilated(
            maps, weights, (one.stride,) * 2, [(edge, edge)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    images, weights = draw(batch, one.side, one.side, one.into), draw(one.kernel, one.kernel, one.into, one.out)
    yield "arguments", _call(jax.jit(convolve), images, weights)
    yield "constants", _call(jax.jit(lambda maps: convolve(maps, weights)), images)
    if one.kernel >= one.side:
        whole = draw(one.side**2 * one.into, one.after**2 * one.out)
        yield "product", _call(jax.jit(jax.numpy.matmul), draw(batch, len(whole)), whole)


def _call(function: Callable[..., jax.Array], *arrays: jax.Array) -> Callable[[], object]:
    """A call that returns when it is computed."""
    return lambda: function(*arrays).block_until_ready()
