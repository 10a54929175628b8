"""PyTorch's recurrent operations: `Node` to operations of the neutral graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.networks.aten_arithmetic import Result
from bench.networks.graph_writer import GraphWriter, Node, Unexportable, to_number

#: Gates of an LSTM: input, forget, cell, output, in PyTorch's order (pytorch.org/docs, torch.nn.LSTM).
GATES = 4


def lstm(node: Node, graph: GraphWriter) -> Result:
    """`lstm`, of any number of layers, in one direction or both, that starts with zeros."""
    if not all(map(graph.is_zero, node["hx"])):
        raise Unexportable("an LSTM that does not start with zeros")
    directions = (False, True) if node["bidirectional"] else (False,)
    parameters = _divide(node["params"], 4 if node["has_biases"] else 2)
    if len(parameters) != node["num_layers"] * len(directions):
        raise Unexportable("an LSTM with projections")
    x = node["input"] if node["batch_first"] else _swap(node["input"], graph)
    for layer in _divide(parameters, len(directions)):
        hidden = [_run(x, one, reverse, graph) for one, reverse in zip(layer, directions, strict=True)]
        shape = graph.shape(hidden[0])
        whole = (*shape[:2], to_number(shape[2]) * len(hidden))
        x = graph.add("concatenate", hidden, whole, axis=2) if len(hidden) > 1 else hidden[0]
    return (x if node["batch_first"] else _swap(x, graph),)


def _run(x: str, parameters: Sequence[str], reverse: bool, graph: GraphWriter) -> str:
    """A layer in one direction, from `x` (b, length, in) to its hidden states (b, length, h)."""
    weight, recurrent, *biases = parameters
    batch, length, _ = graph.shape(x)
    units = to_number(graph.shape(recurrent)[1])
    gates = graph.add("linear", [x, weight, *biases[:1]], (batch, length, GATES * units))
    return graph.add("lstm", [gates, recurrent, *biases[1:]], (batch, length, units), reverse=reverse)


def _divide(values: Sequence[Any], size: int) -> list[Any]:
    return [values[at : at + size] for at in range(0, len(values), size)]


def _swap(x: str, graph: GraphWriter) -> str:
    first, second, last = graph.shape(x)
    return graph.add("transpose", [x], (second, first, last), axes=(1, 0, 2))
