"""The value of a neutral graph, computed with an engine's operations one after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from backends.exported.network_graph import IMAGES, NetworkGraph, to_sizes

#: Operations that are computed in single precision in every variant, as frameworks do by themselves.
IN_SINGLE_PRECISION = frozenset({"batch_norm", "layer_norm", "group_norm"})


@dataclass(frozen=True)
class Casts:
    """How an engine changes the type of a value; a value of whole numbers stays as it is."""

    to_low_precision: Callable[[Any], Any]
    to_single_precision: Callable[[Any], Any]


def evaluate(
    graph: NetworkGraph,
    operations: Mapping[str, Callable[..., Any]],
    tensors: Mapping[str, Any],
    images: Any,
    casts: Casts | None = None,
    batch: Any = None,
) -> Any:
    """The features (b, d) of images (b, …), both values of the engine.

    Args:
        operations: of the engine, by kind.
        tensors: the weights and constants of the graph, as values of the engine.
        casts: for a precision below single precision, in which images and tensors already are; but for the tensors of
            `IN_SINGLE_PRECISION`, which may be in single precision. The features are in single precision.
        batch: number of images, as a value of the engine, where it is not known before it runs.
    """
    batch = images.shape[0] if batch is None else batch
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
        if casts and one.kind in IN_SINGLE_PRECISION:
            values[one.name] = casts.to_low_precision(
                operations[one.kind](*map(casts.to_single_precision, inputs), **attributes)
            )
        else:
            values[one.name] = operations[one.kind](*inputs, **attributes)
        for name in set(one.inputs):
            if last_readers[name] == one.name and name not in tensors:
                del values[name]  # so that an engine that computes at once keeps no more than it needs
    features = values[graph.operations[-1].name]
    return casts.to_single_precision(features) if casts else features
