"""The neutral graph of a network: a list of operations on named values, without code. See docs/network-graph.md.

It is what a process with PyTorch exports and what each engine builds; it is read and checked without a framework.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: Of the format. A file with another one is refused.
FORMAT = 1
#: The value that holds the network's inputs (b, channels, height, width).
IMAGES = "images"
#: A dimension: a number, or so many times the batch ("b", "64b").
Size = int | str
Shape = tuple[Size, ...]
BATCH = re.compile(r"(\d*)b")
#: Numbers that JSON does not have, as they are written.
INFINITE = ("inf", "-inf")

#: The attributes of each operation. Every one is always there; docs/network-graph.md says what they mean.
ATTRIBUTES: Mapping[str, tuple[str, ...]] = {
    "convolution": ("strides", "padding", "dilations", "groups"),
    "linear": (),
    "matmul": (),
    "attention": ("scale",),
    "lstm": ("reverse",),
    "batch_norm": ("epsilon",),
    "layer_norm": ("axes", "epsilon"),
    "group_norm": ("groups", "epsilon"),
    "max_pool": ("window", "strides", "padding"),
    "average_pool": ("window", "strides", "padding", "counts_padding"),
    "mean": ("axes", "keeps_axes"),
    "sum": ("axes", "keeps_axes"),
    "max": ("axes", "keeps_axes"),
    "softmax": ("axis",),
    "gelu": ("approximate",),
    "relu": (),
    "leaky_relu": ("slope",),
    "elu": (),
    "sigmoid": (),
    "silu": (),
    "tanh": (),
    "softplus": (),
    "hard_sigmoid": (),
    "hard_swish": (),
    "exp": (),
    "sqrt": (),
    "clamp": ("minimum", "maximum"),
    "add": ("constants",),
    "subtract": ("constants",),
    "multiply": ("constants",),
    "divide": ("constants",),
    "power": ("constants",),
    "reshape": ("shape",),
    "transpose": ("axes",),
    "concatenate": ("axis",),
    "slice": ("axis", "start", "stop", "step"),
    "take": ("axis",),
    "pad": ("padding", "value"),
    "roll": ("shifts", "axes"),
    "broadcast": ("shape",),
    "tile": ("repeats",),
    "resize_nearest": ("factors",),
    "resize_bilinear": ("shape",),
}


@dataclass(frozen=True)
class Operation:
    """One operation.

    Attributes:
        name: of its value, unique in the graph.
        kind: one of `ATTRIBUTES`.
        inputs: names of values, in the order of its definition: earlier operations', tensors', or `IMAGES`.
        attributes: see `ATTRIBUTES`.
        shape: of its value.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    shape: Shape


@dataclass(frozen=True)
class NetworkGraph:
    """A network from images (b, channels, height, width), normalised, to its pooled features (b, d).

    Attributes:
        source: where it comes from: name, versions, weights.
        image: channels, height and width.
        tensors: shapes of the tensors that operations read, by their names.
        operations: each after those whose values it reads; the last one's value is the features.
        parameters: the tensors that training may change, in the order of the network.
        constants: the tensors that no checkpoint has, as positions and indices.
    """

    source: Mapping[str, str]
    image: tuple[int, int, int]
    tensors: Mapping[str, tuple[int, ...]]
    operations: tuple[Operation, ...]
    parameters: tuple[str, ...] = ()
    constants: tuple[str, ...] = ()

    @property
    def features(self) -> int:
        """Number of the pooled features."""
        return int(self.operations[-1].shape[-1])

    def list_kinds(self) -> dict[str, int]:
        """How many operations there are of each kind, the most frequent first."""
        kinds = [operation.kind for operation in self.operations]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds), key=lambda kind: (-kinds.count(kind), kind))}


class InvalidGraph(ValueError):
    """A graph is not one of this format; the message says what is wrong."""


def to_sizes(shape: Shape, batch: int) -> tuple[int, ...]:
    """The shape's numbers for a batch of that size."""
    return tuple(size if isinstance(size, int) else int(size[:-1] or 1) * batch for size in shape)


def write_graph(graph: NetworkGraph) -> dict[str, Any]:
    """The graph as the content of its JSON file."""
    return {
        "format": FORMAT,
        "source": dict(graph.source),
        "image": list(graph.image),
        "tensors": {name: list(shape) for name, shape in graph.tensors.items()},
        "parameters": list(graph.parameters),
        "constants": list(graph.constants),
        "operations": [
            {
                "name": one.name,
                "kind": one.kind,
                "inputs": list(one.inputs),
                **({"attributes": _thaw(one.attributes)} if one.attributes else {}),
                "shape": list(one.shape),
            }
            for one in graph.operations
        ],
    }


def read_graph(content: object) -> NetworkGraph:
    """Read the content of a graph's JSON file.

    Raises:
        InvalidGraph: it is not a graph of this format.
    """
    try:
        graph = _read(content)
        problem = next(_find_problems(graph), None)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        if isinstance(error, InvalidGraph):
            raise
        raise InvalidGraph(f"it is not the graph of a network: {type(error).__name__}: {error}") from None
    if problem:
        raise InvalidGraph(problem)
    return graph


def _read(content: Any) -> NetworkGraph:
    if content["format"] != FORMAT:
        raise InvalidGraph(f"its format is {content['format']}, and {FORMAT} is read: export the network again")
    channels, height, width = content["image"]
    return NetworkGraph(
        {str(name): str(value) for name, value in content["source"].items()},
        (int(channels), int(height), int(width)),
        {name: tuple(map(int, shape)) for name, shape in content["tensors"].items()},
        tuple(
            Operation(
                one["name"],
                one["kind"],
                tuple(one["inputs"]),
                {name: _freeze(value) for name, value in one.get("attributes", {}).items()},
                tuple(one["shape"]),
            )
            for one in content["operations"]
        ),
        tuple(map(str, content["parameters"])),
        tuple(map(str, content["constants"])),
    )


def _freeze(value: Any) -> Any:
    if isinstance(value, str) and value in INFINITE:
        return float(value)
    return tuple(map(_freeze, value)) if isinstance(value, list) else value


def _thaw(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _thaw(one) for name, one in value.items()}
    if isinstance(value, float) and math.isinf(value):
        return str(value)
    return list(map(_thaw, value)) if isinstance(value, tuple) else value


def _find_problems(graph: NetworkGraph) -> Iterator[str]:
    if not graph.operations:
        yield "it has no operations"
    for name in (*graph.parameters, *graph.constants):
        if name not in graph.tensors:
            yield f"{name} is none of its tensors"
    if both := set(graph.parameters) & set(graph.constants):
        yield f"{min(both)} is a parameter and a constant"
    known = {IMAGES, *graph.tensors}
    for one in graph.operations:
        if one.kind not in ATTRIBUTES:
            yield f"{one.name} is a {one.kind}, which is no operation of this format"
        if set(one.attributes) != set(ATTRIBUTES[one.kind]):
            yield f"{one.name} ({one.kind}) has the attributes {', '.join(one.attributes) or 'none'}"
        if unknown := [name for name in one.inputs if name not in known]:
            yield f"{one.name} reads {unknown[0]}, which is not before it"
        if one.name in known:
            yield f"two values are called {one.name}"
        if not all(isinstance(size, int) or BATCH.fullmatch(size) for size in one.shape):
            yield f"{one.name} has the shape {one.shape}"
        known.add(one.name)
