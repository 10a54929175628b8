"""The work of an exported network in a training step, counted from the shapes in its neutral graph: that of all
operations but the convolutions of square maps, which `step_work` counts.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence

from backends.convolutions import is_square_convolution
from backends.exported.network_graph import IMAGES, NetworkGraph, Operation, to_sizes
from bench.worker.work import Work, sum_work

#: Operations that compute or move nothing: the same numbers in another shape.
FREE = frozenset({"reshape"})
#: Operations that only move numbers.
MOVES = frozenset({"transpose", "concatenate", "slice", "take", "pad", "roll", "broadcast", "tile", "resize_nearest"})
#: Floating-point operations for each number of the result: a multiply-add is two; others count as one.
NORMS = frozenset({"batch_norm", "layer_norm", "group_norm"})


def find_changing_values(graph: NetworkGraph, trained: Collection[str]) -> frozenset[str]:
    """The values that depend on trained tensors: gradients flow through them."""
    changing = set(trained)
    for one in graph.operations:
        if changing.intersection(one.inputs):
            changing.add(one.name)
    return frozenset(changing)


def count_products(graph: NetworkGraph, trained: Collection[str], batch: int, size: int) -> Work:
    """Count the work of matrix products, attention and other convolutions: forward, and back to what is trained. Each
    pass of a product has the same work.

    Args:
        size: bytes of a number.
    """
    changing, shapes = find_changing_values(graph, trained), _list_shapes(graph, batch)
    return sum_work(
        _repeat(_count_product(one, shapes, size), 1 + sum(name in changing for name in one.inputs[:2]))
        for one in _iterate(graph)
        if _is_product(one)
    )


def count_others(graph: NetworkGraph, trained: Collection[str], batch: int, size: int) -> Work:
    """Count the work of what stands between products, each operation on its own: forward it reads its inputs and writes
    its value; back it also reads that value's gradient, and writes its inputs'.
    """
    changing, shapes = find_changing_values(graph, trained), _list_shapes(graph, batch)
    return sum_work(
        _repeat(_count_other(one, shapes, size), 2 if one.name in changing else 1)
        for one in _iterate(graph)
        if not _is_product(one) and one.kind not in FREE
    )


def _iterate(graph: NetworkGraph) -> Iterator[Operation]:
    """The operations but the convolutions of square maps."""
    shapes = {one.name: one.shape for one in graph.operations} | {IMAGES: ("b", *graph.image)}
    for one in graph.operations:
        if one.kind != "convolution" or not is_square_convolution(one, graph, shapes.get(one.inputs[0], ())):
            yield one


def _is_product(one: Operation) -> bool:
    return one.kind in ("linear", "matmul", "attention", "lstm", "convolution")


def _list_shapes(graph: NetworkGraph, batch: int) -> dict[str, tuple[int, ...]]:
    values = {one.name: to_sizes(one.shape, batch) for one in graph.operations}
    return {IMAGES: (batch, *graph.image), **graph.tensors, **values}


def _count_product(one: Operation, shapes: Mapping[str, Sequence[int]], size: int) -> Work:
    first, second = (shapes[name] for name in one.inputs[:2])
    outputs = math.prod(shapes[one.name])
    if one.kind == "attention":
        multiply_adds = 2 * math.prod(first) * second[-2]  # scores, and their product with the values
    elif one.kind == "convolution":
        multiply_adds = outputs * math.prod(second[1:])
    else:
        multiply_adds = outputs * first[-1]
    numbers = outputs + sum(math.prod(shapes[name]) for name in one.inputs)
    return Work(2 * multiply_adds, 2 * multiply_adds, numbers * size, numbers * size)


def _count_other(one: Operation, shapes: Mapping[str, Sequence[int]], size: int) -> Work:
    outputs = math.prod(shapes[one.name])
    numbers = outputs + sum(math.prod(shapes[name]) for name in one.inputs)
    flop = 0 if one.kind in MOVES else outputs * (2 if one.kind in NORMS else 1)
    return Work(flop, flop, numbers * size, numbers * size)


def _repeat(work: Work, times: int) -> Work:
    return sum_work([work] * times)
