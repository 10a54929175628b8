"""PyTorch's operations as operations of the neutral graph: one function each, by PyTorch's name.

A function gets a `Node` and adds operations to a `GraphWriter`; it returns the name of the value that stands for
PyTorch's, or several names if PyTorch returns several. Their meaning: pytorch.org/docs, torch.nn.functional.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from backends.exported.network_graph import Shape
from bench.networks.graph_writer import GraphWriter, Node, Unexportable

Result = str | tuple[str, ...]


def _same(node: Node, graph: GraphWriter) -> Result:
    return node["self"]


def _unary(kind: str) -> Callable[[Node, GraphWriter], Result]:
    return lambda node, graph: graph.add(kind, [node["self"]], node.shape)


def _binary(kind: str) -> Callable[[Node, GraphWriter], Result]:
    def add(node: Node, graph: GraphWriter) -> Result:
        if node.get("alpha", 1) != 1:
            raise Unexportable(f"{node.target} with alpha {node['alpha']}")
        if node.get("rounding_mode"):
            raise Unexportable(f"{node.target} with rounding")
        return _combine(graph, kind, node["self"], node["other"], node.shape)

    return add


def _combine(graph: GraphWriter, kind: str, first: str | float, second: str | float, shape: Shape) -> str:
    """A binary operation; a number stands in `constants` (first, second), where a value is None."""
    inputs = [one for one in (first, second) if isinstance(one, str)]
    constants = tuple(None if isinstance(one, str) else float(one) for one in (first, second))
    return graph.add(kind, inputs, shape, constants=constants)


def _square(node: Node, graph: GraphWriter) -> Result:
    return _combine(graph, "multiply", node["self"], node["self"], node.shape)


def _negate(node: Node, graph: GraphWriter) -> Result:
    return _combine(graph, "multiply", node["self"], -1.0, node.shape)


def _reverse_root(node: Node, graph: GraphWriter) -> Result:
    return _combine(graph, "divide", 1.0, graph.add("sqrt", [node["self"]], node.shape), node.shape)


def _power(node: Node, graph: GraphWriter) -> Result:
    return _combine(graph, "power", node["self"], node["exponent"], node.shape)


def _multiply_add(node: Node, graph: GraphWriter) -> Result:
    if node.get("value", 1) != 1:
        raise Unexportable(f"{node.target} with value {node['value']}")
    product = _combine(graph, "multiply", node["tensor1"], node["tensor2"], node.shape)
    return _combine(graph, "add", node["self"], product, node.shape)


def _clamp(node: Node, graph: GraphWriter) -> Result:
    least, most = node.get("min", node.get("min_val")), node.get("max", node.get("max_val"))
    if isinstance(least, str) or isinstance(most, str):
        raise Unexportable(f"{node.target} with tensors as limits")
    least, most = (None if one is None or not math.isfinite(one) else float(one) for one in (least, most))
    return graph.add("clamp", [node["self"]], node.shape, least=least, most=most)


def _gelu(node: Node, graph: GraphWriter) -> Result:
    return graph.add("gelu", [node["self"]], node.shape, approximate=node["approximate"] == "tanh")


def _leaky_relu(node: Node, graph: GraphWriter) -> Result:
    return graph.add("leaky_relu", [node["self"]], node.shape, slope=float(node["negative_slope"]))


def _mish(node: Node, graph: GraphWriter) -> Result:
    gate = graph.add("tanh", [graph.add("softplus", [node["self"]], node.shape)], node.shape)
    return _combine(graph, "multiply", node["self"], gate, node.shape)


def _softmax(node: Node, graph: GraphWriter) -> Result:
    return graph.add("softmax", [node["self"]], node.shape, axis=node.axis("dim"))


def _convolution(node: Node, graph: GraphWriter) -> Result:
    values, weight = node["input"], node["weight"]
    kernel = graph.shape(weight)[2:]
    dilations = _spread(node["dilation"], len(kernel))
    padding: Any = node["padding"]
    if padding == "valid":
        padding = 0
    if padding == "same":  # torch/nn/modules/conv.py: the odd pixel is after
        whole = [dilation * (int(size) - 1) for dilation, size in zip(dilations, kernel, strict=True)]
        pairs = tuple((one // 2, one - one // 2) for one in whole)
    else:
        pairs = tuple((one, one) for one in _spread(padding, len(kernel)))
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


def _linear(node: Node, graph: GraphWriter) -> Result:
    bias = [] if node.get("bias") is None else [node["bias"]]
    return graph.add("linear", [node["input"], node["weight"], *bias], node.shape)


def _matmul(node: Node, graph: GraphWriter) -> Result:
    return graph.add("matmul", [node["self"], node["other" if "other" in node else "mat2"]], node.shape)


def _attention(node: Node, graph: GraphWriter) -> Result:
    if node["is_causal"] or node.get("enable_gqa") or node["dropout_p"]:
        raise Unexportable("attention that is causal, grouped or with dropout")
    scale = node.get("scale") or 1 / math.sqrt(int(graph.shape(node["query"])[-1]))
    mask = [] if node.get("attn_mask") is None else [node["attn_mask"]]
    return graph.add("attention", [node["query"], node["key"], node["value"], *mask], node.shape, scale=float(scale))


def _batch_norm(node: Node, graph: GraphWriter) -> Result:
    tensors = [node[name] for name in ("weight", "bias", "running_mean", "running_var")]
    channels = graph.shape(node["running_mean"])
    for at, value in ((0, 1.0), (1, 0.0)):
        tensors[at] = tensors[at] or graph.add_constant(value, channels)
    return (graph.add("batch_norm", [node["input"], *tensors], node.shape, epsilon=float(node["eps"])),)


def _standardise(node: Node, graph: GraphWriter) -> Result:
    """A batch normalisation by the statistics of its own inputs, as of standardised weights, step by step."""
    values, epsilon = node["input"], float(node["eps"])
    shape = graph.shape(values)
    axes = tuple(axis for axis in range(len(shape)) if axis != 1)
    reduced = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    mean = graph.add("mean", [values], reduced, axes=axes, keeps_axes=True)
    centred = _combine(graph, "subtract", values, mean, shape)
    squares = _combine(graph, "multiply", centred, centred, shape)
    variance = graph.add("mean", [squares], reduced, axes=axes, keeps_axes=True)
    root = graph.add("sqrt", [_combine(graph, "add", variance, epsilon, reduced)], reduced)
    result = _combine(graph, "divide", centred, root, shape)
    for kind, name in (("multiply", "weight"), ("add", "bias")):
        if node.get(name) is not None:
            each = graph.add("reshape", [node[name]], reduced, shape=reduced)
            result = _combine(graph, kind, result, each, shape)
    return (result,)


def _layer_norm(node: Node, graph: GraphWriter) -> Result:
    lengths = node["normalized_shape"]
    rank = len(node.shape)
    axes = tuple(range(rank - len(lengths), rank))
    tensors = [
        node.get("weight") or graph.add_constant(1.0, lengths),
        node.get("bias") or graph.add_constant(0.0, lengths),
    ]
    return graph.add("layer_norm", [node["input"], *tensors], node.shape, axes=axes, epsilon=float(node["eps"]))


def _group_norm(node: Node, graph: GraphWriter) -> Result:
    channels = graph.shape(node["input"])[1:2]
    tensors = [
        node.get("weight") or graph.add_constant(1.0, channels),
        node.get("bias") or graph.add_constant(0.0, channels),
    ]
    return graph.add(
        "group_norm", [node["input"], *tensors], node.shape, groups=node["num_groups"], epsilon=float(node["eps"])
    )


def _max_pool(node: Node, graph: GraphWriter) -> Result:
    window = _spread(node["kernel_size"], 2)
    if any(one != 1 for one in _spread(node["dilation"], 2)):
        raise Unexportable("max pooling with dilation")
    strides = _spread(node["stride"] or window, 2)
    padding = _pool_padding(graph.shape(node["self"]), node.shape, window, strides, _spread(node["padding"], 2))
    return graph.add("max_pool", [node["self"]], node.shape, window=window, strides=strides, padding=padding)


def _average_pool(node: Node, graph: GraphWriter) -> Result:
    window = _spread(node["kernel_size"], 2)
    strides, before = _spread(node["stride"] or window, 2), _spread(node["padding"], 2)
    padding = _pool_padding(graph.shape(node["self"]), node.shape, window, strides, before)
    counts = bool(node["count_include_pad"]) and padding != ((0, 0), (0, 0))
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
    sides = [(int(side), int(out)) for side, out in zip(shape[-2:], pooled[-2:], strict=True)]
    after = [
        max(0, (out - 1) * stride + size - side - left)
        for (side, out), size, stride, left in zip(sides, window, strides, before, strict=True)
    ]
    return tuple(zip(before, after, strict=True))


def _adaptive_pool(node: Node, graph: GraphWriter) -> Result:
    sides, out = graph.shape(node["self"])[-2:], node.shape[-2:]
    rank = len(node.shape)
    if tuple(out) == (1, 1):
        return graph.add("mean", [node["self"]], node.shape, axes=(rank - 2, rank - 1), keeps_axes=True)
    if any(int(side) % int(one) for side, one in zip(sides, out, strict=True)):
        raise Unexportable(f"adaptive pooling from {sides} to {out}")
    window = tuple(int(side) // int(one) for side, one in zip(sides, out, strict=True))
    nothing = ((0, 0), (0, 0))
    return graph.add(
        "average_pool", [node["self"]], node.shape, window=window, strides=window, padding=nothing, counts_padding=False
    )


def _reduce(kind: str) -> Callable[[Node, GraphWriter], Result]:
    def add(node: Node, graph: GraphWriter) -> Result:
        axes = _list_axes(node, graph)
        return graph.add(kind, [node["self"]], node.shape, axes=axes, keeps_axes=bool(node.get("keepdim")))

    return add


def _list_axes(node: Node, graph: GraphWriter) -> tuple[int, ...]:
    rank = len(graph.shape(node["self"]))
    dims = node.get("dim")
    dims = range(rank) if dims is None or dims == () else [dims] if isinstance(dims, int) else dims
    return tuple(sorted(one % rank for one in dims))


def _norm(node: Node, graph: GraphWriter) -> Result:
    if node["ord"] != 2:
        raise Unexportable(f"a vector norm of order {node['ord']}")
    values = node["self"]
    squares = _combine(graph, "multiply", values, values, graph.shape(values))
    total = graph.add("sum", [squares], node.shape, axes=_list_axes(node, graph), keeps_axes=bool(node.get("keepdim")))
    return graph.add("sqrt", [total], node.shape)


def _reshape(node: Node, graph: GraphWriter) -> Result:
    return graph.add("reshape", [node["self"]], node.shape, shape=node.shape)


def _broadcast(node: Node, graph: GraphWriter) -> Result:
    return graph.add("broadcast", [node["self"]], node.shape, shape=node.shape)


def _tile(node: Node, graph: GraphWriter) -> Result:
    repeats, shape = node["repeats"], graph.shape(node["self"])
    values = node["self"]
    if len(repeats) > len(shape):
        shape = (1,) * (len(repeats) - len(shape)) + shape
        values = graph.add("reshape", [values], shape, shape=shape)
    if any(isinstance(one, str) for one in repeats):
        if any(one != 1 and size != 1 for one, size in zip(repeats, shape, strict=True)):
            raise Unexportable("a repetition by the batch")
        return graph.add("broadcast", [values], node.shape, shape=node.shape)
    return graph.add("tile", [values], node.shape, repeats=tuple(repeats))


def _permute(node: Node, graph: GraphWriter) -> Result:
    rank = len(node.shape)
    return graph.add("transpose", [node["self"]], node.shape, axes=tuple(one % rank for one in node["dims"]))


def _transpose(node: Node, graph: GraphWriter) -> Result:
    axes = list(range(len(node.shape)))
    first, second = node.axis("dim0"), node.axis("dim1")
    axes[first], axes[second] = axes[second], axes[first]
    return graph.add("transpose", [node["self"]], node.shape, axes=tuple(axes))


def _concatenate(node: Node, graph: GraphWriter) -> Result:
    return graph.add("concatenate", list(node["tensors"]), node.shape, axis=node.axis("dim"))


def _stack(node: Node, graph: GraphWriter) -> Result:
    axis = node.axis("dim")
    each = tuple(1 if at == axis else size for at, size in enumerate(node.shape))
    parts = [graph.add("reshape", [one], each, shape=each) for one in node["tensors"]]
    return graph.add("concatenate", parts, node.shape, axis=axis)


def _slice(node: Node, graph: GraphWriter) -> Result:
    axis, shape = node.axis("dim"), graph.shape(node["self"])
    length = shape[axis]
    if isinstance(length, str):
        if (node["start"] or 0) == 0 and node.shape[axis] == shape[axis]:
            return node["self"]
        raise Unexportable("a part of the batch")
    start, stop, step = slice(node["start"], node["end"], node["step"]).indices(length)
    return _cut(graph, node["self"], axis, start, stop, step)


def _cut(graph: GraphWriter, values: str, axis: int, start: int, stop: int, step: int = 1) -> str:
    shape = graph.shape(values)
    if (start, stop, step) == (0, shape[axis], 1):
        return values
    out = tuple(len(range(start, stop, step)) if at == axis else size for at, size in enumerate(shape))
    return graph.add("slice", [values], out, axis=axis, start=start, stop=stop, step=step)


def _select(node: Node, graph: GraphWriter) -> Result:
    shape = graph.shape(node["self"])
    axis = node["dim"] % len(shape)
    index = node["index"]
    return _pick(graph, node["self"], axis, index % int(shape[axis]))


def _pick(graph: GraphWriter, values: str, axis: int, index: int) -> str:
    shape = graph.shape(values)
    part = _cut(graph, values, axis, index, index + 1)
    rest = shape[:axis] + shape[axis + 1 :]
    return graph.add("reshape", [part], rest, shape=rest)


def _unbind(node: Node, graph: GraphWriter) -> Result:
    shape = graph.shape(node["self"])
    axis = node["dim"] % len(shape)
    return tuple(_pick(graph, node["self"], axis, index) for index in range(int(shape[axis])))


def _split(node: Node, graph: GraphWriter) -> Result:
    shape = graph.shape(node["self"])
    axis = node["dim"] % len(shape)
    length = int(shape[axis])
    sizes = node["split_size"] if "split_size" in node else node["split_sizes"]
    if isinstance(sizes, int):
        sizes = [min(sizes, length - start) for start in range(0, length, sizes)]
    parts, start = [], 0
    for size in sizes:
        parts.append(_cut(graph, node["self"], axis, start, start + size))
        start += size
    return tuple(parts)


def _chunk(node: Node, graph: GraphWriter) -> Result:
    shape = graph.shape(node["self"])
    axis = node["dim"] % len(shape)
    length = int(shape[axis])
    size = -(-length // node["chunks"])
    return tuple(_cut(graph, node["self"], axis, start, min(length, start + size)) for start in range(0, length, size))


def _index(node: Node, graph: GraphWriter) -> Result:
    places = [(axis, one) for axis, one in enumerate(node["indices"]) if one is not None]
    if len(places) != 1 or not graph.is_constant(places[0][1]):
        raise Unexportable("an index by several tensors, or by one that is not constant")
    return graph.add("take", [node["self"], places[0][1]], node.shape, axis=places[0][0])


def _index_select(node: Node, graph: GraphWriter) -> Result:
    if not graph.is_constant(node["index"]):
        raise Unexportable("an index that is not constant")
    return graph.add("take", [node["self"], node["index"]], node.shape, axis=node.axis("dim"))


def _pad(node: Node, graph: GraphWriter) -> Result:
    if node.get("mode", "constant") != "constant":
        raise Unexportable(f"padding by {node['mode']}")
    flat, rank = node["pad"], len(node.shape)
    pairs = [(0, 0)] * rank
    for at in range(len(flat) // 2):
        pairs[rank - 1 - at] = (flat[2 * at], flat[2 * at + 1])
    if not any(any(pair) for pair in pairs):
        return node["self"]
    if any(one < 0 for pair in pairs for one in pair):
        raise Unexportable("negative padding")
    return graph.add("pad", [node["self"]], node.shape, padding=tuple(pairs), value=float(node.get("value") or 0.0))


def _roll(node: Node, graph: GraphWriter) -> Result:
    rank = len(node.shape)
    axes = tuple(one % rank for one in node["dims"])
    return graph.add("roll", [node["self"]], node.shape, shifts=tuple(node["shifts"]), axes=axes)


def _resize_nearest(node: Node, graph: GraphWriter) -> Result:
    sides, out = graph.shape(node["input"])[-2:], node.shape[-2:]
    if any(int(one) % int(side) for side, one in zip(sides, out, strict=True)):
        raise Unexportable(f"nearest resizing from {sides} to {out}")
    factors = tuple(int(one) // int(side) for side, one in zip(sides, out, strict=True))
    return graph.add("resize_nearest", [node["input"]], node.shape, factors=factors)


def _resize_bilinear(node: Node, graph: GraphWriter) -> Result:
    if node["align_corners"]:
        raise Unexportable("bilinear resizing with aligned corners")
    return graph.add("resize_bilinear", [node["input"]], node.shape, shape=node.shape)


def _spread(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    several = [value] if isinstance(value, int) else list(value)
    return tuple(several * rank if len(several) == 1 else several)


#: By PyTorch's name, without `aten::` and the overload.
OPERATIONS: dict[str, Callable[[Node, GraphWriter], Result]] = {
    **dict.fromkeys(("clone", "alias", "contiguous", "detach", "_to_copy", "to", "dropout", "lift_fresh_copy"), _same),
    **{name: _unary(name) for name in ("relu", "sigmoid", "silu", "tanh", "exp", "sqrt", "softplus")},
    "elu": _unary("elu"),
    "hardsigmoid": _unary("hard_sigmoid"),
    "hardswish": _unary("hard_swish"),
    "gelu": _gelu,
    "leaky_relu": _leaky_relu,
    "mish": _mish,
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max", "hardtanh", "relu6"), _clamp),
    **dict.fromkeys(("softmax", "_softmax"), _softmax),
    "add": _binary("add"),
    "sub": _binary("subtract"),
    "mul": _binary("multiply"),
    "div": _binary("divide"),
    "pow": _power,
    "square": _square,
    "neg": _negate,
    "rsqrt": _reverse_root,
    "addcmul": _multiply_add,
    **dict.fromkeys(("conv1d", "conv2d"), _convolution),
    "linear": _linear,
    **dict.fromkeys(("matmul", "bmm", "mm"), _matmul),
    "scaled_dot_product_attention": _attention,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "_native_batch_norm_legit": _standardise,
    "layer_norm": _layer_norm,
    "group_norm": _group_norm,
    "max_pool2d": _max_pool,
    "avg_pool2d": _average_pool,
    "adaptive_avg_pool2d": _adaptive_pool,
    "mean": _reduce("mean"),
    "sum": _reduce("sum"),
    "amax": _reduce("max"),
    "linalg_vector_norm": _norm,
    **dict.fromkeys(("view", "reshape", "_unsafe_view", "flatten", "unsqueeze", "squeeze", "unflatten"), _reshape),
    **dict.fromkeys(("expand", "expand_as"), _broadcast),
    "repeat": _tile,
    "permute": _permute,
    **dict.fromkeys(("transpose", "t"), _transpose),
    "cat": _concatenate,
    "stack": _stack,
    "slice": _slice,
    "select": _select,
    "unbind": _unbind,
    **dict.fromkeys(("split", "split_with_sizes"), _split),
    "chunk": _chunk,
    "index": _index,
    "index_select": _index_select,
    **dict.fromkeys(("pad", "constant_pad_nd"), _pad),
    "roll": _roll,
    "upsample_nearest2d": _resize_nearest,
    "upsample_bilinear2d": _resize_bilinear,
}
