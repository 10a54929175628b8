"""A pass over the neutral graph that moves channels last: maps (b, c, h, w) become (b, h, w, c).

TensorFlow computes convolutions on a CPU in this layout only, and XLA and oneDNN are fastest in it. Values are turned
where an operation needs the other layout, not around each operation: the images once, and maps where they become
sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from backends.exported.network_graph import IMAGES, NetworkGraph, Operation, Shape

#: Operations that have the channels of a map in axis 1, in PyTorch.
ON_MAPS = {
    "convolution",
    "batch_norm",
    "group_norm",
    "max_pool",
    "average_pool",
    "resize_nearest",
    "resize_bilinear",
}
BINARY = {"add", "subtract", "multiply", "divide", "power"}
UNARY = {
    "gelu",
    "relu",
    "leaky_relu",
    "elu",
    "sigmoid",
    "silu",
    "tanh",
    "softplus",
    "hard_sigmoid",
    "hard_swish",
    "exp",
    "sqrt",
    "clamp",
}
REDUCTIONS = {"mean", "sum", "max"}


def move_channels_last(graph: NetworkGraph) -> NetworkGraph:
    """The same network on images (b, height, width, channels).

    In the result, operations on maps have their channels in the last axis. Weights stay as they are.
    """
    return _Pass(graph).run()


class _Pass:
    def __init__(self, graph: NetworkGraph) -> None:
        self.graph = graph
        self.operations: dict[str, Operation] = {}
        self.shapes: dict[str, Shape] = {**graph.tensors, IMAGES: _turn(("b", *graph.image))}
        #: What stands for each value of `graph`, as it was and with its channels last; one of them is made when needed.
        self.first: dict[str, str] = {name: name for name in graph.tensors}
        self.last: dict[str, str] = {IMAGES: IMAGES}
        self.rules: dict[str, Callable[[Operation], None]] = {
            **dict.fromkeys(ON_MAPS, self._turn_map),
            **dict.fromkeys(BINARY, self._turn_both),
            **dict.fromkeys(UNARY, self._follow_input),
            **dict.fromkeys(REDUCTIONS, self._reduce),
            "softmax": lambda one: self._move_axis(one, "axis"),
            "slice": lambda one: self._move_axis(one, "axis"),
            "take": self._take,
            "roll": lambda one: self._move_axis(one, "axes"),
            "pad": lambda one: self._reorder(one, "padding"),
            "tile": lambda one: self._reorder(one, "repeats"),
            "broadcast": lambda one: self._reorder(one, "shape"),
            "concatenate": self._concatenate,
            "transpose": self._transpose,
            "reshape": self._reshape,
        }

    def run(self) -> NetworkGraph:
        for one in self.graph.operations:
            self.rules.get(one.kind, self._keep_first)(one)
        output = self._get_first(self.graph.operations[-1].name)
        needed = {output}
        for one in reversed(self.operations.values()):
            if one.name in needed:
                needed.update(one.inputs)
        return replace(self.graph, operations=tuple(one for one in self.operations.values() if one.name in needed))

    # What stands for a value

    def _get_first(self, name: str) -> str:
        if name not in self.first:
            last = self.last[name]
            rank = len(self.shapes[last])
            self.first[name] = self._permute(last, (0, rank - 1, *range(1, rank - 1)), f"{name}_first")
        return self.first[name]

    def _get_last(self, name: str) -> str:
        if name not in self.last:
            first = self.first[name]
            self.last[name] = self._permute(first, _order(len(self.shapes[first])), f"{name}_last")
        return self.last[name]

    def _permute(self, value: str, axes: Sequence[int], name: str) -> str:
        """The value with its axes in that order: nothing is turned twice."""
        before = self.operations.get(value)
        if before and before.kind == "transpose":
            value, axes = before.inputs[0], [before.attributes["axes"][axis] for axis in axes]
        if list(axes) == sorted(axes):
            return value
        shape = tuple(self.shapes[value][axis] for axis in axes)
        return self._emit(name, "transpose", [value], shape, axes=tuple(axes))

    def _is_last(self, name: str) -> bool:
        """Whether the value has its channels last already, or is a transposed one whose source has."""
        if name in self.last:
            return True
        before = self.operations.get(self.first[name])
        if before is None or before.kind != "transpose":
            return False
        axes = before.attributes["axes"]
        return [axes[axis] for axis in _order(len(axes))] == sorted(axes)

    def _emit(self, name: str, kind: str, inputs: Sequence[str], shape: Shape, /, **attributes: Any) -> str:
        self.operations[name] = Operation(name, kind, tuple(inputs), attributes, tuple(shape))
        self.shapes[name] = tuple(shape)
        return name

    def _keep_last(self, one: Operation, inputs: Sequence[str], **changed: Any) -> None:
        attributes = {**one.attributes, **changed}
        self.last[one.name] = self._emit(one.name, one.kind, inputs, _turn(one.shape), **attributes)

    # The rules: each leaves the operation's value in `first` or in `last`

    def _keep_first(self, one: Operation) -> None:
        inputs = [self._get_first(name) for name in one.inputs]
        self.first[one.name] = self._emit(one.name, one.kind, inputs, one.shape, **one.attributes)

    def _turn_map(self, one: Operation) -> None:
        if len(one.shape) < 3:
            return self._keep_first(one)
        tensors = [self._get_first(name) for name in one.inputs[1:]]
        changed = {"shape": _turn(one.attributes["shape"])} if "shape" in one.attributes else {}
        self._keep_last(one, [self._get_last(one.inputs[0]), *tensors], **changed)

    def _follow_input(self, one: Operation) -> None:
        (name,) = one.inputs
        if name not in self.last:
            return self._keep_first(one)
        self._keep_last(one, [self.last[name]])

    def _turn_both(self, one: Operation) -> None:
        rank = len(one.shape)
        if not any(name in self.last and len(self._shape(name)) == rank for name in one.inputs):
            return self._keep_first(one)
        self._keep_last(one, [self._align(name, rank, f"{one.name}_{at}") for at, name in enumerate(one.inputs)])

    def _align(self, name: str, rank: int, new: str) -> str:
        """The value as one of that rank, with its channels last."""
        shape = self._shape(name)
        if len(shape) == rank:
            return self._get_last(name)
        whole = (1,) * (rank - len(shape)) + tuple(shape)
        if all(size == 1 for axis, size in enumerate(whole) if axis != 1):
            turned = _turn(whole)
            return self._emit(f"{new}_aligned", "reshape", [self._get_first(name)], turned, shape=turned)
        aligned = self._emit(f"{new}_aligned", "reshape", [self._get_first(name)], whole, shape=whole)
        return self._permute(aligned, _order(rank), f"{new}_last")

    def _reduce(self, one: Operation) -> None:
        (name,) = one.inputs
        rank, axes = len(self._shape(name)), one.attributes["axes"]
        if name not in self.last or not (one.attributes["keeps_axes"] or set(axes) >= set(range(2, rank))):
            return self._keep_first(one)
        moved = tuple(sorted(_place(axis, rank) for axis in axes))
        if one.attributes["keeps_axes"]:
            return self._keep_last(one, [self.last[name]], axes=moved)
        attributes = {**one.attributes, "axes": moved}
        self.first[one.name] = self._emit(one.name, one.kind, [self.last[name]], one.shape, **attributes)

    def _move_axis(self, one: Operation, attribute: str) -> None:
        name, *others = one.inputs
        if name not in self.last:
            return self._keep_first(one)
        axes, rank = one.attributes[attribute], len(one.shape)
        moved = _place(axes, rank) if isinstance(axes, int) else tuple(_place(axis, rank) for axis in axes)
        self._keep_last(one, [self.last[name], *map(self._get_first, others)], **{attribute: moved})

    def _take(self, one: Operation) -> None:
        if len(self._shape(one.inputs[1])) == 1:
            self._move_axis(one, "axis")
        else:
            self._keep_first(one)

    def _reorder(self, one: Operation, attribute: str) -> None:
        if one.inputs[0] not in self.last or len(self._shape(one.inputs[0])) != len(one.shape):
            return self._keep_first(one)
        self._keep_last(one, [self.last[one.inputs[0]]], **{attribute: _turn(one.attributes[attribute])})

    def _concatenate(self, one: Operation) -> None:
        if not any(name in self.last for name in one.inputs):
            return self._keep_first(one)
        moved = _place(one.attributes["axis"], len(one.shape))
        self._keep_last(one, [self._get_last(name) for name in one.inputs], axis=moved)

    def _transpose(self, one: Operation) -> None:
        (name,) = one.inputs
        axes, source = one.attributes["axes"], self.first.get(name)
        if source is None:
            source, axes = self.last[name], [_place(axis, len(axes)) for axis in axes]
        self.first[one.name] = self._permute(source, axes, one.name)

    def _reshape(self, one: Operation) -> None:
        """Channels stay last where the maps' pixels are only put in one row, or in several again."""
        (name,) = one.inputs
        before, after = self._shape(name), one.shape
        if len(before) > 2 and all(size == 1 for size in before[2:]) and name in self.last:
            self.first[one.name] = self._emit(one.name, "reshape", [self.last[name]], after, shape=after)
        elif len(before) > 2 and len(after) > 2 and before[:2] == after[:2] and self._is_last(name):
            self._keep_last(one, [self._get_last(name)], shape=_turn(after))
        else:
            self._keep_first(one)

    def _shape(self, name: str) -> Shape:
        """The shape of a value of the graph, as it was."""
        if name in self.first:
            return self.shapes[self.first[name]]
        shape = self.shapes[self.last[name]]
        return (shape[0], shape[-1], *shape[1:-1])


def _order(rank: int) -> tuple[int, ...]:
    return (0, *range(2, rank), 1)


def _turn(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(values[axis] for axis in _order(len(values)))


def _place(axis: int, rank: int) -> int:
    """Where an axis is when channels are last."""
    return _order(rank).index(axis)
