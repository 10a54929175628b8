"""PyTorch's `einsum` as products of matrices of the neutral graph."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from backends.exported.network_graph import Shape, Size
from bench.networks.aten_arithmetic import Result
from bench.networks.graph_writer import GraphWriter, Node, Unexportable, to_factor

#: Two values with letters for their axes, and a result.
EQUATION = re.compile(r"([a-zA-Z]+),([a-zA-Z]+)->([a-zA-Z]+)")


def einsum(node: Node, graph: GraphWriter) -> Result:
    """`einsum` of two values: letters of both and of the result are batches, those of both alone are summed."""
    equation = node["equation"].replace(" ", "")
    found = EQUATION.fullmatch(equation)
    if not found or any(len(set(one)) < len(one) for one in found.groups()):
        raise Unexportable(f"einsum {equation}")
    first, second, result = found.groups()
    if (set(first) ^ set(second)) - set(result):
        raise Unexportable(f"einsum {equation}")  # it sums one value alone
    sizes: dict[str, Size] = {}
    for letters, name in zip((first, second), node["tensors"], strict=True):
        sizes.update(zip(letters, graph.shape(name), strict=True))
    both = [one for one in first if one in second]
    batches, summed = ([one for one in both if (one in result) == kept] for kept in (True, False))
    left, right = ([one for one in letters if one not in both] for letters in (first, second))
    values, other = node["tensors"]
    values = _arrange(graph, values, first, (batches, left, summed), sizes)
    other = _arrange(graph, other, second, (batches, summed, right), sizes)
    shape = tuple(multiply_sizes([sizes[one] for one in group]) for group in (batches, left, right))
    product = graph.add("matmul", [values, other], shape)
    order = [*batches, *left, *right]
    apart = tuple(sizes[one] for one in order)
    product = graph.add("reshape", [product], apart, shape=apart)
    axes = tuple(order.index(one) for one in result)
    return product if axes == tuple(range(len(axes))) else graph.add("transpose", [product], node.shape, axes=axes)


def _arrange(
    graph: GraphWriter, values: str, letters: str, groups: Sequence[Sequence[str]], sizes: dict[str, Size]
) -> str:
    """The value with three axes, a group of letters each."""
    order = [one for group in groups for one in group]
    axes = tuple(letters.index(one) for one in order)
    if axes != tuple(range(len(axes))):
        values = graph.add("transpose", [values], tuple(sizes[one] for one in order), axes=axes)
    shape = tuple(multiply_sizes([sizes[one] for one in group]) for group in groups)
    return graph.add("reshape", [values], shape, shape=shape)


def multiply_sizes(sizes: Shape | Sequence[Size]) -> Size:
    """The product of dimensions.

    Raises:
        Unexportable: several of them depend on the batch.
    """
    texts = [one for one in sizes if isinstance(one, str)]
    number = math.prod(one for one in sizes if isinstance(one, int))
    if not texts:
        return number
    if len(texts) > 1:
        raise Unexportable("a number that depends on the batch squared")
    number *= to_factor(texts[0])
    return "b" if number == 1 else f"{number}b"
