"""The value of a neutral graph, computed with an engine's operations one after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from backends.exported.network_graph import IMAGES, NetworkGraph, to_sizes


def evaluate(
    graph: NetworkGraph, operations: Mapping[str, Callable[..., Any]], tensors: Mapping[str, Any], images: Any
) -> Any:
    """The features (b, d) of images (b, …), both values of the engine.

    Args:
        operations: of the engine, by kind.
        tensors: the weights and constants of the graph, as values of the engine.
    """
    batch = images.shape[0]
    values = {**tensors, IMAGES: images}
    last_readers = {name: one.name for one in graph.operations for name in one.inputs}
    for one in graph.operations:
        attributes = dict(one.attributes)
        if "shape" in attributes:
            attributes["shape"] = to_sizes(attributes["shape"], batch)
        inputs = [values[name] for name in one.inputs]
        if "constants" in attributes:  # a number in place of one of the two values
            left = iter(inputs)
            inputs = [next(left) if number is None else number for number in attributes.pop("constants")]
        values[one.name] = operations[one.kind](*inputs, **attributes)
        for name in set(one.inputs):
            if last_readers[name] == one.name and name not in tensors:
                del values[name]  # so that an engine that computes at once keeps no more than it needs
    return values[graph.operations[-1].name]
