"""A neutral graph while it is written: operations, shapes, and the tensors they read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from backends.exported.network_graph import ATTRIBUTES, BATCH, IMAGES, NetworkGraph, Operation, Shape, Size


class Unexportable(Exception):
    """A network cannot be written as a neutral graph; the message names the operation."""


class Unsuitable(Unexportable):
    """A network is none that computes features of images, or not as it is; the message says what to change."""


def to_number(size: Size) -> int:
    """The number of a dimension.

    Raises:
        Unexportable: it depends on the batch.
    """
    if isinstance(size, str):
        raise Unexportable("an operation along the batch")
    return size


def to_factor(size: Size) -> int:
    """How many times the batch a dimension is.

    Raises:
        Unexportable: it does not depend on the batch.
    """
    found = BATCH.fullmatch(str(size))
    if not found:
        raise Unexportable(f"{size} in place of a multiple of the batch")
    return int(found[1] or 1)


@dataclass(frozen=True)
class Node:
    """One of PyTorch's operations: its arguments by name, with values' names in place of values, and its shape."""

    target: str
    arguments: Mapping[str, Any]
    shape: Shape

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def __contains__(self, name: str) -> bool:
        return name in self.arguments

    def get(self, name: str, default: Any = None) -> Any:
        """An argument, or `default` if the operation has none of that name."""
        return self.arguments.get(name, default)

    def axis(self, name: str) -> int:
        """An argument that is an axis of the result, counted from the first."""
        return self.arguments[name] % len(self.shape)


class GraphWriter:
    """Collects operations and constants."""

    def __init__(self, tensors: Mapping[str, np.ndarray], image: tuple[int, int, int]) -> None:
        """Start with the network's tensors, by their names in its checkpoint."""
        self.tensors = dict(tensors)
        self.image = image
        self._operations: list[Operation] = []
        self._shapes: dict[str, Shape] = {IMAGES: ("b", *image)}
        self._constants = 0

    def shape(self, name: str) -> Shape:
        """The shape of a value."""
        return self._shapes[name] if name in self._shapes else self.tensors[name].shape

    def is_integer(self, name: object) -> bool:
        """Whether a value is a tensor of whole numbers, as constant indices are."""
        return isinstance(name, str) and name in self.tensors and self.tensors[name].dtype.kind in "iu"

    def is_boolean(self, name: str) -> bool:
        """Whether a value is a tensor of truth values."""
        return name in self.tensors and self.tensors[name].dtype.kind == "b"

    def is_zero(self, name: str) -> bool:
        """Whether a value is a tensor of zeros, for each image of a batch or as it is."""
        found = next((one for one in self._operations if one.name == name and one.kind == "broadcast"), None)
        name = found.inputs[0] if found else name
        return name in self.tensors and not self.tensors[name].any()

    def count_from_start(self, name: str, size: Size) -> str:
        """Indices along an axis of that size, negative ones counted from its start."""
        indices = self.tensors[name]
        return self.add_constant(indices % to_number(size)) if (indices < 0).any() else name

    def add(self, kind: str, inputs: Sequence[str], shape: Shape, /, **attributes: Any) -> str:
        """Add an operation; returns the name of its value. A reshape to the same shape is left out."""
        if kind == "reshape" and self.shape(inputs[0]) == tuple(shape):
            return inputs[0]
        if set(attributes) != set(ATTRIBUTES[kind]):
            raise ValueError(f"{kind} with the attributes {sorted(attributes)}")
        for attribute, value in attributes.items():
            if attribute != "shape" and _has_text(value):
                raise Unexportable(f"{kind} with {attribute} that depends on the batch")
        name = f"{kind}_{len(self._operations)}"
        self._operations.append(Operation(name, kind, tuple(inputs), attributes, tuple(shape)))
        self._shapes[name] = tuple(shape)
        return name

    def find_zero_padding(self, name: str, sides: int) -> tuple[str, tuple[tuple[int, int], ...]]:
        """What a value is without the zeros that were added around its last axes, and how many of them are before and
        after each: a convolution pads by itself.
        """
        found = next((one for one in self._operations if one.name == name and one.kind == "pad"), None)
        if found and found.attributes["value"] == 0:
            pairs = found.attributes["padding"]
            if not any(map(any, pairs[:-sides])):
                return found.inputs[0], pairs[-sides:]
        return name, ((0, 0),) * sides

    def add_constant(self, value: float | np.ndarray, shape: Sequence[Any] = ()) -> str:
        """Add a tensor that is no weight; returns its name."""
        tensor = np.asarray(value, np.float32 if isinstance(value, float) else None)
        name = f"constant_{self._constants}"
        self.tensors[name] = np.array(np.broadcast_to(tensor, tuple(shape)) if shape else tensor, order="C")
        self._constants += 1
        return name

    def finish(
        self, output: str, source: Mapping[str, str], parameters: Collection[str], checkpoint: Collection[str]
    ) -> NetworkGraph:
        """The graph up to a value, with the operations and tensors that it needs; others are dropped.

        Args:
            parameters: names of tensors that training may change.
            checkpoint: names of tensors that the network's checkpoints have.
        """
        needed = {output}
        for one in reversed(self._operations):
            if one.name in needed:
                needed.update(one.inputs)
        operations = [one for one in self._operations if one.name in needed]
        if not operations or operations[-1].name != output:
            raise Unexportable("a last operation that does not give the features")
        self.tensors = dict(self._list_needed(needed))
        shapes = {name: tensor.shape for name, tensor in self.tensors.items()}
        return NetworkGraph(
            source,
            self.image,
            shapes,
            tuple(operations),
            tuple(name for name in shapes if name in parameters),
            tuple(name for name, one in self.tensors.items() if name not in checkpoint or one.dtype.kind != "f"),
        )

    def _list_needed(self, needed: set[str]) -> Iterator[tuple[str, np.ndarray]]:
        for name, tensor in self.tensors.items():
            if name in needed:
                yield name, tensor


def _has_text(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, tuple) and any(map(_has_text, value)))
