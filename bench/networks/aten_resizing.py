"""PyTorch's operations that give maps other sides: `Node` to operations of the neutral graph.

Those that no operation of the graph has are linear and the same for each column and each row: products with a matrix
from the left and one from the right, which PyTorch itself says.
"""

from __future__ import annotations

import numpy as np
import torch

from bench.networks.aten_arithmetic import Result, multiply_matrices
from bench.networks.graph_writer import GraphWriter, Node, to_number


def resize_nearest(node: Node, graph: GraphWriter) -> Result:
    """`upsample_nearest2d`."""
    values = node["input"]
    sides = [to_number(side) for side in graph.shape(values)[-2:]]
    out = [to_number(side) for side in node.shape[-2:]]
    places = [matrix.argmax(1) for matrix in _list_matrices(node, "input", sides)]
    factors = tuple(one // side for side, one in zip(sides, out, strict=True))
    if all((one == np.arange(len(one)) // max(1, factor)).all() for one, factor in zip(places, factors, strict=True)):
        return graph.add("resize_nearest", [values], node.shape, factors=factors)
    for axis, one in enumerate(places, 2):
        shape = graph.shape(values)
        taken = (*shape[:axis], len(one), *shape[axis + 1 :])
        values = graph.add("take", [values, graph.add_constant(one)], taken, axis=axis)
    return values


def resize_bilinear(node: Node, graph: GraphWriter) -> Result:
    """`upsample_bilinear2d`."""
    sides, out = graph.shape(node["input"])[-2:], node.shape[-2:]
    factors = node.get("scale_factors") or (None, None)
    exact = all(
        factor is None or to_number(side) * factor == one for side, factor, one in zip(sides, factors, out, strict=True)
    )
    if node["align_corners"] or not exact:
        return resize(node, graph)
    return graph.add("resize_bilinear", [node["input"]], node.shape, shape=node.shape)


def resize(node: Node, graph: GraphWriter) -> Result:
    """`upsample_bicubic2d`, and those with antialiasing."""
    down, across = _list_matrices(node, "input", [to_number(side) for side in graph.shape(node["input"])[-2:]])
    return multiply_matrices(graph, down, node["input"], across.T)


def adaptive_pool(node: Node, graph: GraphWriter) -> Result:
    """`adaptive_avg_pool2d`."""
    sides, out = graph.shape(node["self"])[-2:], node.shape[-2:]
    rank = len(node.shape)
    if tuple(out) == (1, 1):
        return graph.add("mean", [node["self"]], node.shape, axes=(rank - 2, rank - 1), keeps_axes=True)
    if any(to_number(side) % to_number(one) for side, one in zip(sides, out, strict=True)):
        down, across = _list_matrices(node, "self", [to_number(side) for side in sides])
        return multiply_matrices(graph, down, node["self"], across.T)
    window = tuple(to_number(side) // to_number(one) for side, one in zip(sides, out, strict=True))
    nothing = ((0, 0), (0, 0))
    return graph.add(
        "average_pool", [node["self"]], node.shape, window=window, strides=window, padding=nothing, counts_padding=False
    )


def _list_matrices(node: Node, name: str, sides: list[int]) -> list[np.ndarray]:
    """For each side, the matrix (side after, side before) of double precision of what PyTorch does along it.

    Args:
        name: of the argument that is the maps.
    """
    others = {key: value for key, value in node.arguments.items() if key != name}
    compute = getattr(torch.ops.aten, node.target)
    found = []
    for axis, side in enumerate(sides, 2):
        each = torch.eye(side, dtype=torch.float64).reshape(1, side, *(side if at == axis else 1 for at in (2, 3)))
        resized = compute(**{name: each.expand(1, side, *sides), **others})[0]
        found.append((resized[:, :, 0] if axis == 2 else resized[:, 0]).T.numpy())
    return found
