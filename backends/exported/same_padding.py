"""The padding that TensorFlow, Keras and XLA call "same"."""

from __future__ import annotations

from collections.abc import Sequence


def is_same_padding(
    sizes: Sequence[int],
    kernel: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
    padding: Sequence[Sequence[int]],
) -> bool:
    """Whether a convolution's padding is "same": a map becomes 1 / stride as large, rounded up, and where the number of
    padded pixels is odd, one more stands after it.

    Source: https://www.tensorflow.org/api_docs/python/tf/nn#notes_on_padding_2.

    Args:
        sizes: of the map, in pixels, along each of its dimensions; the others have as many values.
        padding: pixels before and after, along each dimension.
    """
    for size, width, stride, dilation, edges in zip(sizes, kernel, strides, dilations, padding, strict=True):
        total = max((-(-size // stride) - 1) * stride + dilation * (width - 1) + 1 - size, 0)
        if tuple(edges) != (total // 2, total - total // 2):
            return False
    return True
