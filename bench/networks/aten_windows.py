"""PyTorch's operations that take windows out of maps, or put them together: `Node` to operations of the neutral graph.

They are made of the operations that there are, so that no engine needs one of its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from backends.exported.network_graph import Shape, Size
from bench.networks.aten_arithmetic import Result, combine, multiply_matrices
from bench.networks.aten_shapes import pad_map
from bench.networks.graph_writer import GraphWriter, Node, Unexportable, to_factor, to_number


def unfold(node: Node, graph: GraphWriter) -> Result:
    """`unfold` of a tensor: windows along an axis, whose values are along a new last axis."""
    values, size, step = node["self"], node["size"], node["step"]
    shape = graph.shape(values)
    axis = node["dimension"] % len(shape)
    number = (to_number(shape[axis]) - size) // step + 1
    taken = _take_windows(graph, values, axis, np.arange(number)[:, None] * step + np.arange(size))
    axes = (*range(axis + 1), *range(axis + 2, len(shape) + 1), axis + 1)
    return graph.add("transpose", [taken], node.shape, axes=axes)


def take_columns(node: Node, graph: GraphWriter) -> Result:
    """`im2col`: each window of maps as a column, (b, channels · window, windows)."""
    values = pad_map(graph, node["self"], [(one, one) for one in node["padding"]])
    values = _take_all_windows(graph, values, _list_places(node, graph.shape(node["self"])[2:]))
    return graph.add("reshape", [values], node.shape, shape=node.shape)


def convolve_each(node: Node, graph: GraphWriter, padding: Sequence[tuple[int, int]]) -> Result:
    """A convolution with kernels for each image, (1, channels of all images, …), as a product of matrices."""
    per_image = node["groups"], graph.shape(node["input"])[1], graph.shape(node["weight"])[0]
    groups, channels, outputs = map(to_factor, per_image)
    kernel = graph.shape(node["weight"])[2:]
    sides = graph.shape(node["input"])[2:]
    maps: Shape = ("b", channels, *sides)
    values = pad_map(graph, graph.add("reshape", [node["input"]], maps, shape=maps), padding)
    places = [
        np.arange(to_number(size))[:, None] * dilation + np.arange(to_number(out)) * stride
        for size, dilation, out, stride in zip(kernel, node["dilation"], node.shape[2:], node["stride"], strict=True)
    ]
    window = channels // groups * places[0].shape[0] * places[1].shape[0]
    columns: Shape = ("b", groups, window, places[0].shape[1] * places[1].shape[1])
    values = graph.add("reshape", [_take_all_windows(graph, values, places)], columns, shape=columns)
    rows: Shape = ("b", groups, outputs // groups, window)
    weight = graph.add("reshape", [node["weight"]], rows, shape=rows)
    shape = (*rows[:3], columns[3])
    values = graph.add("matmul", [weight, values], shape)
    if node.get("bias") is not None:
        each = (*rows[:3], 1)
        values = combine(graph, "add", values, graph.add("reshape", [node["bias"]], each, shape=each), shape)
    return graph.add("reshape", [values], node.shape, shape=node.shape)


def add_columns(node: Node, graph: GraphWriter) -> Result:
    """`col2im`: the sum of all windows, each in its place, by products with matrices of ones and zeros."""
    batch, channels, *sides = node.shape
    down, across = _list_places(node, sides)
    apart: Shape = (batch, channels, len(down), len(across), down.shape[1], across.shape[1])
    values = graph.add("reshape", [node["self"]], apart, shape=apart)
    values = graph.add("transpose", [values], (batch, channels, *down.shape, *across.shape), axes=(0, 1, 2, 4, 3, 5))
    rows: Shape = (batch, channels, down.size, across.size)
    values = graph.add("reshape", [values], rows, shape=rows)
    marks = [
        places.reshape(-1, 1) - pad == np.arange(to_number(side))
        for places, pad, side in zip((down, across), node["padding"], sides, strict=True)
    ]
    return multiply_matrices(graph, marks[0].T, values, marks[1])


def transposed_convolution(node: Node, graph: GraphWriter) -> Result:
    """`conv_transpose2d`: a convolution of pixels with zeros between them and the kernel turned around."""
    values, weight, groups = node["input"], node["weight"], node["groups"]
    strides, dilations, padding, after = (node[name] for name in ("stride", "dilation", "padding", "output_padding"))
    kernel = [to_number(size) for size in graph.shape(weight)[2:]]
    values = _spread_pixels(graph, values, strides)
    edges = tuple(
        ((size - 1) * dilation - pad, (size - 1) * dilation - pad + more - (stride - 1))
        for size, dilation, pad, more, stride in zip(kernel, dilations, padding, after, strides, strict=True)
    )
    if any(one < 0 for pair in edges for one in pair):
        raise Unexportable(f"{node.target} with a padding or strides that are larger than its kernel")
    bias = [] if node.get("bias") is None else [node["bias"]]
    return graph.add(
        "convolution",
        [values, _turn_kernel(graph, weight, groups), *bias],
        node.shape,
        strides=(1, 1),
        padding=edges,
        dilations=tuple(dilations),
        groups=groups,
    )


def _take_windows(graph: GraphWriter, values: str, axis: int, places: np.ndarray) -> str:
    """The values at places (n, m) along an axis, which becomes two."""
    shape = graph.shape(values)
    if not np.array_equal(places.reshape(-1), np.arange(to_number(shape[axis]))):
        rows = (*shape[:axis], places.size, *shape[axis + 1 :])
        values = graph.add("take", [values, graph.add_constant(places.reshape(-1))], rows, axis=axis)
    apart = (*shape[:axis], *places.shape, *shape[axis + 1 :])
    return graph.add("reshape", [values], apart, shape=apart)


def _take_all_windows(graph: GraphWriter, values: str, places: Sequence[np.ndarray]) -> str:
    """Windows of maps, by places as of `_list_places`: (b, channels, *window, *windows)."""
    batch, channels, *_ = graph.shape(values)
    down, across = places
    values = _take_windows(graph, values, 3, across)
    values = _take_windows(graph, values, 2, down)
    order: Shape = (batch, channels, len(down), len(across), down.shape[1], across.shape[1])
    return graph.add("transpose", [values], order, axes=(0, 1, 2, 4, 3, 5))


def _list_places(node: Node, sides: Sequence[Size]) -> list[np.ndarray]:
    """For each side of maps, the places (kernel, windows) in the padded map of what windows have."""
    options = (node[name] for name in ("kernel_size", "dilation", "padding", "stride"))
    found = []
    for side, kernel, dilation, pad, stride in zip(sides, *options, strict=True):
        number = (to_number(side) + 2 * pad - dilation * (kernel - 1) - 1) // stride + 1
        found.append(np.arange(kernel)[:, None] * dilation + np.arange(number) * stride)
    return found


def _spread_pixels(graph: GraphWriter, values: str, strides: Sequence[int]) -> str:
    """Each pixel of maps with zeros behind it, so that there are `strides` times as many."""
    if all(stride == 1 for stride in strides):
        return values
    (batch, channels, *sides), (down, across) = graph.shape(values), strides
    height, width = map(to_number, sides)
    alone: Shape = (batch, channels, height, 1, width, 1)
    values = graph.add("reshape", [values], alone, shape=alone)
    edges = ((0, 0), (0, 0), (0, 0), (0, down - 1), (0, 0), (0, across - 1))
    spread: Shape = (batch, channels, height, down, width, across)
    values = graph.add("pad", [values], spread, padding=edges, value=0.0)
    shape: Shape = (batch, channels, height * down, width * across)
    return graph.add("reshape", [values], shape, shape=shape)


def _turn_kernel(graph: GraphWriter, weight: str, groups: int) -> str:
    """The weight (in, out / groups, …) of a transposed convolution as a convolution's (out, in / groups, …)."""
    inputs, outputs, *kernel = map(to_number, graph.shape(weight))
    by_group: Shape = (groups, inputs // groups, outputs, *kernel)
    weight = graph.add("reshape", [weight], by_group, shape=by_group)
    turned: Shape = (groups, outputs, inputs // groups, *kernel)
    weight = graph.add("transpose", [weight], turned, axes=(0, 2, 1, 3, 4))
    shape: Shape = (groups * outputs, inputs // groups, *kernel)
    weight = graph.add("reshape", [weight], shape, shape=shape)
    for axis, size in enumerate(kernel, 2):
        backwards = graph.add_constant(np.arange(size)[::-1])
        weight = graph.add("take", [weight, backwards], shape, axis=axis)
    return weight
