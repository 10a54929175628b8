"""PyTorch's operations with weights, and those on maps: `Node` to operations of the neutral graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from backends.exported.network_graph import Shape
from bench.networks.aten_arithmetic import Result, centre, combine
from bench.networks.aten_windows import convolve_each
from bench.networks.graph_writer import GraphWriter, Node, Unexportable, to_number

#: `torch.finfo(torch.float32).eps`
SINGLE_EPSILON = 2.0**-23


def convolution(node: Node, graph: GraphWriter) -> Result:
    """`conv1d`, `conv2d` and `conv3d`."""
    weight = node["weight"]
    kernel = graph.shape(weight)[2:]
    dilations = _spread(node["dilation"], len(kernel))
    padding: Any = node["padding"]
    if padding == "valid":
        padding = 0
    if padding == "same":  # torch/nn/modules/conv.py: the odd pixel is after
        whole = [dilation * (to_number(size) - 1) for dilation, size in zip(dilations, kernel, strict=True)]
        pairs = tuple((one // 2, one - one // 2) for one in whole)
    else:
        pairs = tuple((one, one) for one in _spread(padding, len(kernel)))
    if isinstance(node["groups"], str):
        return convolve_each(node, graph, pairs)
    values, zeros = graph.find_zero_padding(node["input"], len(kernel))
    pairs = tuple((one[0] + two[0], one[1] + two[1]) for one, two in zip(pairs, zeros, strict=True))
    bias = [] if node.get("bias") is None else [node["bias"]]
    return graph.add(
        "convolution",
        [values, weight, *bias],
        node.shape,
        strides=_spread(node["stride"], len(kernel)),
        padding=pairs,
        dilations=dilations,
        groups=node["groups"],
    )


def linear(node: Node, graph: GraphWriter) -> Result:
    """`linear`."""
    bias = [] if node.get("bias") is None else [node["bias"]]
    return graph.add("linear", [node["input"], node["weight"], *bias], node.shape)


def matmul(node: Node, graph: GraphWriter) -> Result:
    """`matmul`, `bmm` and `mm`; both get the same number of axes, which some engines need."""
    pair = [node["self"], node["other" if "other" in node else "mat2"]]
    shapes = [graph.shape(one) for one in pair]
    if min(map(len, shapes)) < 2:
        raise Unexportable(f"{node.target} of a vector")
    rank = max(map(len, shapes))
    for at, shape in enumerate(shapes):
        whole = (1,) * (rank - len(shape)) + tuple(shape)
        pair[at] = graph.add("reshape", [pair[at]], whole, shape=whole)
    return graph.add("matmul", pair, node.shape)


def attention(node: Node, graph: GraphWriter) -> Result:
    """`scaled_dot_product_attention`."""
    if node["is_causal"] or node.get("enable_gqa") or node["dropout_p"]:
        raise Unexportable("attention that is causal, grouped or with dropout")
    scale = node.get("scale") or 1 / math.sqrt(to_number(graph.shape(node["query"])[-1]))
    mask = [] if node.get("attn_mask") is None else [node["attn_mask"]]
    if any(graph.is_boolean(one) for one in mask):
        raise Unexportable("attention with a mask of truth values")
    return graph.add("attention", [node["query"], node["key"], node["value"], *mask], node.shape, scale=float(scale))


def batch_norm(node: Node, graph: GraphWriter) -> Result:
    """`batch_norm` by running statistics."""
    statistics = [node["running_mean"], node["running_var"]]
    scaling = _list_scaling(node, graph, graph.shape(node["running_mean"]))
    return (graph.add("batch_norm", [node["input"], *scaling, *statistics], node.shape, epsilon=float(node["eps"])),)


def standardise(node: Node, graph: GraphWriter) -> Result:
    """A batch normalisation by the statistics of its own inputs, as of standardised weights, step by step."""
    if not node["training"]:
        raise Unexportable(f"{node.target} by other statistics than its inputs' own")
    values, epsilon = node["input"], float(node["eps"])
    shape = graph.shape(values)
    axes = tuple(axis for axis in range(len(shape)) if axis != 1)
    reduced = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    centred, variance = centre(graph, values, axes)
    root = graph.add("sqrt", [combine(graph, "add", variance, epsilon, reduced)], reduced)
    result = combine(graph, "divide", centred, root, shape)
    for kind, name in (("multiply", "weight"), ("add", "bias")):
        if node.get(name) is not None:
            each = graph.add("reshape", [node[name]], reduced, shape=reduced)
            result = combine(graph, kind, result, each, shape)
    return (result,)


def layer_norm(node: Node, graph: GraphWriter) -> Result:
    """`layer_norm`."""
    lengths = node["normalized_shape"]
    rank = len(node.shape)
    axes = tuple(range(rank - len(lengths), rank))
    scaling = _list_scaling(node, graph, lengths)
    return graph.add("layer_norm", [node["input"], *scaling], node.shape, axes=axes, epsilon=float(node["eps"]))


def rms_norm(node: Node, graph: GraphWriter) -> Result:
    """`rms_norm`: without an epsilon, PyTorch's is that of single precision."""
    values, shape = node["input"], graph.shape(node["input"])
    axes = tuple(range(len(shape) - len(node["normalized_shape"]), len(shape)))
    reduced = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    squares = combine(graph, "multiply", values, values, shape)
    mean = graph.add("mean", [squares], reduced, axes=axes, keeps_axes=True)
    epsilon = SINGLE_EPSILON if node["eps"] is None else node["eps"]
    root = graph.add("sqrt", [combine(graph, "add", mean, epsilon, reduced)], reduced)
    normalised = combine(graph, "divide", values, root, shape)
    return normalised if node["weight"] is None else combine(graph, "multiply", normalised, node["weight"], shape)


def group_norm(node: Node, graph: GraphWriter) -> Result:
    """`group_norm`."""
    channels = graph.shape(node["input"])[1:2]
    scaling = _list_scaling(node, graph, channels)
    return graph.add(
        "group_norm", [node["input"], *scaling], node.shape, groups=node["num_groups"], epsilon=float(node["eps"])
    )


def _list_scaling(node: Node, graph: GraphWriter, shape: Shape) -> list[str]:
    """The scale and the offset of a normalisation: ones and zeros where it has none."""
    return [node.get("weight") or graph.add_constant(1.0, shape), node.get("bias") or graph.add_constant(0.0, shape)]


def max_pool(node: Node, graph: GraphWriter) -> Result:
    """`max_pool2d`."""
    window = _spread(node["kernel_size"], 2)
    if any(one != 1 for one in _spread(node["dilation"], 2)):
        raise Unexportable("max pooling with dilation")
    strides = _spread(node["stride"] or window, 2)
    padding = _pool_padding(graph.shape(node["self"]), node.shape, window, strides, _spread(node["padding"], 2))
    return graph.add("max_pool", [node["self"]], node.shape, window=window, strides=strides, padding=padding)


def average_pool_of_sequences(node: Node, graph: GraphWriter) -> Result:
    """`avg_pool1d`: that of maps one pixel high."""
    batch, channels, length = graph.shape(node["self"])
    high = (batch, channels, 1, length)
    arguments = {**node.arguments, "self": graph.add("reshape", [node["self"]], high, shape=high)}
    window = _spread(node["kernel_size"], 1)
    strides, before = _spread(node["stride"] or window, 1), _spread(node["padding"], 1)
    arguments |= {"kernel_size": (1, *window), "stride": (1, *strides), "padding": (0, *before)}
    pooled = average_pool(Node(node.target, arguments, (*node.shape[:2], 1, node.shape[2])), graph)
    return graph.add("reshape", [pooled], node.shape, shape=node.shape)


def average_pool(node: Node, graph: GraphWriter) -> str:
    """`avg_pool2d`."""
    window = _spread(node["kernel_size"], 2)
    strides, before = _spread(node["stride"] or window, 2), _spread(node["padding"], 2)
    padding = _pool_padding(graph.shape(node["self"]), node.shape, window, strides, before)
    counts = bool(node["count_include_pad"]) and any(before)  # what `ceil_mode` pads is never counted
    if node.get("divisor_override") is not None or (counts and any(after > one for one, after in padding)):
        raise Unexportable("average pooling with its own divisor, or whose last window counts padding")
    return graph.add(
        "average_pool",
        [node["self"]],
        node.shape,
        window=window,
        strides=strides,
        padding=padding,
        counts_padding=counts,
    )


def _pool_padding(
    shape: Shape, pooled: Shape, window: Sequence[int], strides: Sequence[int], before: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Padding before and after, so that whole windows give the pooled shape: that of `ceil_mode` is after."""
    sides = [(to_number(side), to_number(out)) for side, out in zip(shape[-2:], pooled[-2:], strict=True)]
    after = [
        max(0, (out - 1) * stride + size - side - left)
        for (side, out), size, stride, left in zip(sides, window, strides, before, strict=True)
    ]
    return tuple(zip(before, after, strict=True))


def _spread(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    several = [value] if isinstance(value, int) else list(value)
    return tuple(several * rank if len(several) == 1 else several)
