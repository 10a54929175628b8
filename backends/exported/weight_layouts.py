"""A pass over a graph with channels last that lays out weights as engines read them: kernels (height, width, in, out),
matrices (in, out).

What a checkpoint has is laid out once, when it is loaded. A weight that the network computes is transposed where it is
read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from backends.exported.channels_last import move_channels_last
from backends.exported.network_graph import NetworkGraph, Operation
from backends.values import Tensors

#: Operations whose second input is a weight.
WEIGHTED = ("convolution", "linear", "lstm")


@dataclass(frozen=True)
class LaidOutGraph:
    """A graph whose weights are laid out for engines.

    Attributes:
        graph: on images (b, height, width, channels); `tensors` are as engines keep them.
        layouts: the axes by which these are transposed from those of the checkpoint, by name.
    """

    graph: NetworkGraph
    layouts: Mapping[str, tuple[int, ...]]

    def lay_out(self, tensors: Tensors) -> dict[str, np.ndarray]:
        """The checkpoint's tensors as engines keep them."""
        return {
            name: one.transpose(self.layouts[name]) if name in self.layouts else one for name, one in tensors.items()
        }


def lay_out_for_engines(graph: NetworkGraph) -> LaidOutGraph:
    """The same network with channels last, and weights as engines read them."""
    graph = move_channels_last(graph)
    others = {
        name for one in graph.operations for at, name in enumerate(one.inputs) if one.kind not in WEIGHTED or at != 1
    }
    layouts: dict[str, tuple[int, ...]] = {}
    operations: list[Operation] = []
    shapes = {**graph.tensors, **{one.name: one.shape for one in graph.operations}}
    for one in graph.operations:
        if one.kind in WEIGHTED:
            value, weight, *bias = one.inputs
            axes = _order(len(shapes[weight]))
            if weight in graph.tensors and weight not in others:
                layouts[weight] = axes
            else:
                name, shape = f"{one.name}_weight", tuple(shapes[weight][axis] for axis in axes)
                operations.append(Operation(name, "transpose", (weight,), {"axes": axes}, shape))
                weight = name
            one = replace(one, inputs=(value, weight, *bias))
        operations.append(one)
    tensors = {
        name: tuple(shape[axis] for axis in layouts[name]) if name in layouts else shape
        for name, shape in graph.tensors.items()
    }
    return LaidOutGraph(replace(graph, tensors=tensors, operations=tuple(operations)), layouts)


def _order(rank: int) -> tuple[int, ...]:
    """The axes of a kernel or matrix (out, in, …) with `in` and `out` last."""
    return (*range(2, rank), 1, 0)
