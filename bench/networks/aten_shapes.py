"""PyTorch's operations that move values and compute none: `Node` to operations of the neutral graph."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from bench.networks.aten_arithmetic import Result
from bench.networks.graph_writer import GraphWriter, Node, Unexportable, to_number


def reshape(node: Node, graph: GraphWriter) -> Result:
    """What keeps the values and their order: `view`, `flatten`, `unsqueeze`, `squeeze`."""
    return graph.add("reshape", [node["self"]], node.shape, shape=node.shape)


def broadcast(node: Node, graph: GraphWriter) -> Result:
    """`expand` and `expand_as`."""
    return graph.add("broadcast", [node["self"]], node.shape, shape=node.shape)


def tile(node: Node, graph: GraphWriter) -> Result:
    """`repeat` and `tile`."""
    repeats, shape = node["repeats"] if "repeats" in node else node["dims"], graph.shape(node["self"])
    repeats = (1,) * (len(shape) - len(repeats)) + tuple(repeats)
    values = node["self"]
    if len(repeats) > len(shape):
        shape = (1,) * (len(repeats) - len(shape)) + shape
        values = graph.add("reshape", [values], shape, shape=shape)
    if any(isinstance(one, str) for one in repeats):
        if any(one != 1 and size != 1 for one, size in zip(repeats, shape, strict=True)):
            raise Unexportable("a repetition by the batch")
        return graph.add("broadcast", [values], node.shape, shape=node.shape)
    return graph.add("tile", [values], node.shape, repeats=tuple(repeats))


def repeat_each(node: Node, graph: GraphWriter) -> Result:
    """`repeat_interleave` by a number."""
    shape, number = graph.shape(node["self"]), node["repeats"]
    if node["dim"] is None:
        raise Unexportable(f"{node.target} of all values in one row")
    axis = node["dim"] % len(shape)
    alone, several = ((*shape[: axis + 1], one, *shape[axis + 1 :]) for one in (1, number))
    values = graph.add("reshape", [node["self"]], alone, shape=alone)
    values = graph.add("broadcast", [values], several, shape=several)
    return graph.add("reshape", [values], node.shape, shape=node.shape)


def permute(node: Node, graph: GraphWriter) -> Result:
    """`permute`."""
    rank = len(node.shape)
    return graph.add("transpose", [node["self"]], node.shape, axes=tuple(one % rank for one in node["dims"]))


def transpose(node: Node, graph: GraphWriter) -> Result:
    """`transpose`."""
    axes = list(range(len(node.shape)))
    first, second = node.axis("dim0"), node.axis("dim1")
    axes[first], axes[second] = axes[second], axes[first]
    return graph.add("transpose", [node["self"]], node.shape, axes=tuple(axes))


def concatenate(node: Node, graph: GraphWriter) -> Result:
    """`cat`."""
    return graph.add("concatenate", list(node["tensors"]), node.shape, axis=node.axis("dim"))


def stack(node: Node, graph: GraphWriter) -> Result:
    """`stack`."""
    axis = node.axis("dim")
    each = tuple(1 if at == axis else size for at, size in enumerate(node.shape))
    parts = [graph.add("reshape", [one], each, shape=each) for one in node["tensors"]]
    return graph.add("concatenate", parts, node.shape, axis=axis)


def cut(node: Node, graph: GraphWriter) -> Result:
    """`slice`."""
    axis, shape = node.axis("dim"), graph.shape(node["self"])
    length = shape[axis]
    if isinstance(length, str):
        if (node["start"] or 0) == 0 and node.shape[axis] == shape[axis]:
            return node["self"]
        raise Unexportable("a part of the batch")
    start, stop, step = slice(node["start"], node["end"], node["step"]).indices(length)
    return _cut(graph, node["self"], axis, start, stop, step)


def put_in_place(node: Node, graph: GraphWriter) -> Result:
    """`slice_scatter`: a part of a value in place of what it has there."""
    axis, shape = node.axis("dim"), graph.shape(node["self"])
    start, stop, step = slice(node["start"], node["end"], node["step"]).indices(to_number(shape[axis]))
    if step != 1:
        raise Unexportable(f"{node.target} by steps")
    pieces = [(0, start), (stop, to_number(shape[axis]))]
    before, after = ([_cut(graph, node["self"], axis, *piece)] if piece[0] < piece[1] else [] for piece in pieces)
    parts = [*before, node["src"], *after]
    return parts[0] if len(parts) == 1 else graph.add("concatenate", parts, node.shape, axis=axis)


def copy(node: Node, graph: GraphWriter) -> Result:
    """`copy`: another value in place of one, and in its shape."""
    if graph.shape(node["src"]) == node.shape:
        return node["src"]
    return graph.add("broadcast", [node["src"]], node.shape, shape=node.shape)


def _cut(graph: GraphWriter, values: str, axis: int, start: int, stop: int, step: int = 1) -> str:
    shape = graph.shape(values)
    if (start, stop, step) == (0, shape[axis], 1):
        return values
    out = tuple(len(range(start, stop, step)) if at == axis else size for at, size in enumerate(shape))
    return graph.add("slice", [values], out, axis=axis, start=start, stop=stop, step=step)


def select(node: Node, graph: GraphWriter) -> Result:
    """`select`."""
    shape = graph.shape(node["self"])
    axis = node["dim"] % len(shape)
    index = node["index"]
    return _pick(graph, node["self"], axis, index % to_number(shape[axis]))


def _pick(graph: GraphWriter, values: str, axis: int, index: int) -> str:
    shape = graph.shape(values)
    part = _cut(graph, values, axis, index, index + 1)
    rest = shape[:axis] + shape[axis + 1 :]
    return graph.add("reshape", [part], rest, shape=rest)


def unbind(node: Node, graph: GraphWriter) -> Result:
    """`unbind`."""
    shape = graph.shape(node["self"])
    axis = node["dim"] % len(shape)
    return tuple(_pick(graph, node["self"], axis, index) for index in range(to_number(shape[axis])))


def split(node: Node, graph: GraphWriter) -> Result:
    """`split` and `split_with_sizes`."""
    shape = graph.shape(node["self"])
    axis = node["dim"] % len(shape)
    length = to_number(shape[axis])
    sizes = node["split_size"] if "split_size" in node else node["split_sizes"]
    if isinstance(sizes, int):
        sizes = [min(sizes, length - start) for start in range(0, length, sizes)]
    parts, start = [], 0
    for size in sizes:
        parts.append(_cut(graph, node["self"], axis, start, start + size))
        start += size
    return tuple(parts)


def chunk(node: Node, graph: GraphWriter) -> Result:
    """`chunk`."""
    shape = graph.shape(node["self"])
    axis = node["dim"] % len(shape)
    length = to_number(shape[axis])
    size = -(-length // node["chunks"])
    return tuple(_cut(graph, node["self"], axis, start, min(length, start + size)) for start in range(0, length, size))


def index(node: Node, graph: GraphWriter) -> Result:
    """`index` by constants along one axis, or by several along axes that follow each other."""
    places = [(axis, one) for axis, one in enumerate(node["indices"]) if one is not None]
    axes = [axis for axis, _ in places]
    if not all(graph.is_integer(one) for _, one in places) or axes != list(range(axes[0], axes[0] + len(axes))):
        raise Unexportable("an index that is not constant, or along axes apart from each other")
    values, shape = node["self"], graph.shape(node["self"])
    sizes = [to_number(shape[axis]) for axis in axes]
    if len(places) == 1:
        indices = graph.count_from_start(places[0][1], sizes[0])
    else:
        several = [graph.tensors[one] % size for (_, one), size in zip(places, sizes, strict=True)]
        indices = graph.add_constant(np.ravel_multi_index(np.broadcast_arrays(*several), sizes))
        row = (*shape[: axes[0]], math.prod(sizes), *shape[axes[-1] + 1 :])
        values = graph.add("reshape", [values], row, shape=row)
    return graph.add("take", [values, indices], node.shape, axis=axes[0])


def index_select(node: Node, graph: GraphWriter) -> Result:
    """`index_select` by constants."""
    if not graph.is_integer(node["index"]):
        raise Unexportable("an index that is not constant")
    return graph.add("take", [node["self"], node["index"]], node.shape, axis=node.axis("dim"))


def pad(node: Node, graph: GraphWriter) -> Result:
    """`pad` and `constant_pad_nd` with a number."""
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


def pad_map(graph: GraphWriter, values: str, padding: Sequence[tuple[int, int]]) -> str:
    """Maps with zeros before and after each side."""
    if not any(map(any, padding)):
        return values
    batch, channels, *sides = graph.shape(values)
    padded = tuple(to_number(side) + sum(pair) for side, pair in zip(sides, padding, strict=True))
    edges = ((0, 0), (0, 0), *padding)
    return graph.add("pad", [values], (batch, channels, *padded), padding=edges, value=0.0)


def roll(node: Node, graph: GraphWriter) -> Result:
    """`roll`."""
    rank = len(node.shape)
    axes = tuple(one % rank for one in node["dims"])
    if not axes:
        raise Unexportable("a roll of all values in one row")
    return graph.add("roll", [node["self"]], node.shape, shifts=tuple(node["shifts"]), axes=axes)
