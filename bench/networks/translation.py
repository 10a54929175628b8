"""A network of PyTorch as a neutral graph: its exports are read node by node, an operation of the graph for each."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import timm
import torch

from backends.exported.network_graph import IMAGES, NetworkGraph, Shape, Size
from bench.networks.aten_operations import OPERATIONS
from bench.networks.graph_writer import GraphWriter, Node, Unexportable, Unsuitable
from bench.networks.two_batches import BATCHES, Counterpart, export_both, read_shape

#: Operations that compute nothing.
IGNORED = {"_assert_tensor_metadata", "_assert_async", "_assert_scalar", "sym_constrain_range_for_size"}
#: Operations of networks that were exported in train mode.
OF_TRAIN_MODE = {"_native_batch_norm_legit_functional", "native_dropout"}


def translate(
    model: torch.nn.Module, image: tuple[int, int, int], source: Mapping[str, str]
) -> tuple[NetworkGraph, dict[str, np.ndarray]]:
    """The neutral graph of a network in eval mode, and its tensors.

    Args:
        image: channels, height and width.
        source: where the network comes from; the versions of timm and PyTorch are added.

    Raises:
        Unexportable: an operation has no counterpart.
    """
    return _Translation(*export_both(model, image), image).translate(
        {**source, "torch": torch.__version__, "timm": timm.__version__}
    )


class _Translation:
    def __init__(
        self,
        program: torch.export.ExportedProgram,
        counterparts: Sequence[Counterpart],
        image: tuple[int, int, int],
    ) -> None:
        self.program, self.counterparts = program, counterparts
        signature = program.graph_signature
        state = {**program.state_dict, **program.constants}
        places = {
            **signature.inputs_to_parameters,
            **signature.inputs_to_buffers,
            **signature.inputs_to_lifted_tensor_constants,
        }
        self.names = {node: target for node, target in places.items() if target in state}
        self.parameters = set(signature.inputs_to_parameters)
        self.tensors = {node: state[target].detach() for node, target in self.names.items()}
        self.graph = GraphWriter(
            {target: np.array(state[target].detach().cpu().numpy(), order="C") for target in self.names.values()},
            image,
        )
        #: What each node of the export is: the name of a value, or several.
        self.values: dict[str, Any] = {}
        #: What depends on constants alone, computed.
        self.computed: dict[str, Any] = {}
        self.shapes: dict[str, Shape | None] = {}
        self.materialised: dict[str, str] = {}

    def translate(self, source: Mapping[str, str]) -> tuple[NetworkGraph, dict[str, np.ndarray]]:
        nodes = list(self.program.graph.nodes)
        if [str(one.target) for one in nodes] != [one.target for one in self.counterparts]:
            raise Unsuitable("operations that depend on the batch size: let them be the same for every size")
        output = ""
        for first, second in zip(nodes, self.counterparts, strict=True):
            if first.op == "placeholder":
                self.values[first.name] = self.names.get(first.name, IMAGES)
                if first.name in self.tensors and first.name not in self.parameters:
                    self.computed[first.name] = self.tensors[first.name]
            elif first.op == "output":
                if len(first.args[0]) != 1:
                    raise Unsuitable(
                        "a network that returns several values, or changes its own tensors: return the features (n, d) "
                        "alone"
                    )
                output = self._resolve(first.args[0][0])
            elif first.target is operator.getitem:
                at = first.args[1]
                if first.args[0].name in self.computed:
                    self.computed[first.name] = self.computed[first.args[0].name][at]
                    self.shapes[first.name] = _get_shape(first, second)
                else:
                    several = self.values[first.args[0].name]
                    if at < len(several):  # others are not read, as the batch's statistics
                        self.values[first.name] = several[at]
            else:
                self._translate(first, second)
        graph = self.graph.finish(
            output, source, {self.names[node] for node in self.parameters}, self.program.state_dict
        )
        if len(graph.operations[-1].shape) != 2:
            shape = ", ".join(map(str, graph.operations[-1].shape))
            raise Unsuitable(f"features of the shape ({shape}): pool or flatten them to (n, d)")
        return graph, self.graph.tensors

    def _translate(self, first: torch.fx.Node, second: Counterpart) -> None:
        schema = getattr(first.target, "_schema", None)
        if schema is None:
            raise Unexportable(f"operation {first.target}")
        name = schema.name.removeprefix("aten::")
        if name in IGNORED:
            return
        if name in OF_TRAIN_MODE:
            raise Unsuitable("a network in train mode: export it in eval mode")
        read = first.all_input_nodes
        if all(one.name in self.computed for one in read):
            self.computed[first.name] = first.target(
                *torch.fx.node.map_arg(first.args, lambda one: self.computed[one.name]),
                **torch.fx.node.map_arg(first.kwargs, lambda one: self.computed[one.name]),
            )
            self.shapes[first.name] = _get_shape(first, second)
            return
        if name not in OPERATIONS:
            raise Unexportable(f"operation {name}")
        shape = _get_shape(first, second)
        node = Node(name, self._bind(first, second), shape or ())
        self.values[first.name] = OPERATIONS[name](node, self.graph)

    def _bind(self, first: torch.fx.Node, second: Counterpart) -> dict[str, Any]:
        found = {}
        for at, argument in enumerate(first.target._schema.arguments):
            if at < len(first.args):
                pair = first.args[at], second.args[at]
            elif argument.name in first.kwargs:
                pair = first.kwargs[argument.name], second.kwargs[argument.name]
            else:
                pair = argument.default_value, argument.default_value
            found[argument.name] = self._convert(*pair)
        return found

    def _convert(self, first: Any, second: Any) -> Any:
        if isinstance(first, torch.fx.Node):
            return self._resolve(first)
        if isinstance(first, (list, tuple)):
            return tuple(self._convert(*pair) for pair in zip(first, second, strict=True))
        if isinstance(first, int) and not isinstance(first, bool):
            return _join(first, second)
        return first

    def _resolve(self, node: torch.fx.Node) -> Any:
        """The name of a node's value; what was computed becomes a constant, unless it is a tensor of the checkpoint."""
        if node.name in self.computed and node.name not in self.tensors:
            if node.name not in self.materialised:
                self.materialised[node.name] = self._materialise(self.computed[node.name], self.shapes.get(node.name))
            return self.materialised[node.name]
        if node.name not in self.values:
            raise Unexportable(f"a network that reads value {node.args[1]} of operation {node.args[0].name}")
        return self.values[node.name]

    def _materialise(self, tensor: torch.Tensor, shape: Shape | None) -> str:
        """Add a constant; one that is the same for each image of a batch is kept once."""
        if shape is None or all(isinstance(size, int) for size in shape):
            return self.graph.add_constant(tensor.detach().contiguous().numpy())
        one = tensor
        for axis in (axis for axis, size in enumerate(shape) if isinstance(size, str)):
            one = one.narrow(axis, 0, 1)
        if (tensor != one).any():
            raise Unexportable("a constant that depends on the batch")
        constant = self.graph.add_constant(one.detach().contiguous().numpy())
        return self.graph.add("broadcast", [constant], shape, shape=shape)


def _get_shape(first: torch.fx.Node, second: Counterpart) -> Shape | None:
    """The shape of a node's value with multiples of the batch, of the first of several; None if it is no tensor."""
    shape = read_shape(first)
    if shape is None or second.shape is None:
        return None
    return tuple(_join(one, other) for one, other in zip(shape, second.shape, strict=True))


def _join(first: int, second: int) -> Size:
    if first == second:
        return first
    if first % BATCHES[0] or second % BATCHES[1] or first // BATCHES[0] != second // BATCHES[1]:
        raise Unexportable(f"a number that is {first} at batch {BATCHES[0]} and {second} at batch {BATCHES[1]}")
    factor = first // BATCHES[0]
    return "b" if factor == 1 else f"{factor}b"
