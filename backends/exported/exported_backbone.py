"""Exported networks as backbones: the processes that meet a task of one are given its graph first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from backends.backbones import Backbone, Shape
from backends.exported.network_graph import NetworkGraph, Operation

if TYPE_CHECKING:
    from backends.values import Tensors

#: How the names of timm's networks, and of the user's saved programs, begin in tasks.
TIMM, PROGRAM = "timm/", "program/"
#: The weights of an exported network that are not `random`.
WEIGHTS = ("pretrained",)
#: The tensors of a batch normalisation, in the order of the operation's inputs.
NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class ExportedNetwork:
    """A network that was exported.

    Attributes:
        graph: its neutral graph.
        constants: the tensors that no checkpoint has, see `NetworkGraph.constants`.
        program: the file of the user's saved program; empty for one of timm.
    """

    graph: NetworkGraph
    constants: Tensors
    program: str = ""


@dataclass(frozen=True, eq=False)
class ExportedBackbone(Backbone):
    """A network that was exported, for one size of images. Its tensors are named and laid out as in PyTorch."""

    network: ExportedNetwork | None = None

    @property
    def graph(self) -> NetworkGraph:
        """The neutral graph."""
        assert self.network
        return self.network.graph

    @property
    def constants(self) -> Tensors:
        """The tensors that no checkpoint has."""
        assert self.network
        return self.network.constants

    @property
    def program(self) -> str:
        """The file of the user's saved program; empty for a network of timm."""
        assert self.network
        return self.network.program

    @property
    def architecture(self) -> str:
        """Its name in timm."""
        return self.name.removeprefix(TIMM)

    def tensors(self) -> dict[str, Shape]:
        """See `Backbone.tensors`."""
        constants = set(self.graph.constants)
        return {name: shape for name, shape in self.graph.tensors.items() if name not in constants}

    @property
    def parameters(self) -> tuple[str, ...]:
        """See `Backbone.parameters`."""
        return self.graph.parameters

    @property
    def last_stage(self) -> str:
        """The last part of the network that has several modules and a number: `layer4.`, `blocks.11.`, `stages.3.`. A
        network without such parts has none, and all of it is trained.
        """
        return next((stage for name in reversed(self.graph.parameters) if (stage := _find_stage(name))), "")

    def pair_convolutions_with_norms(self) -> dict[str, str]:
        """See `Backbone.pair_convolutions_with_norms`: those whose normalisation alone reads the convolution. PyTorch
        runs a saved program as it is, so that none are folded in any backend.
        """
        if self.name.startswith(PROGRAM):
            return {}
        return {
            convolution.inputs[1].rpartition(".")[0]: norm.inputs[1].rpartition(".")[0]
            for convolution, norm in find_foldable_norms(self.graph)
        }

    def get_epsilon(self, norm: str) -> float:
        """See `Backbone.get_epsilon`."""
        return self._epsilons[norm]

    def find_rounded(self, tensors: Iterable[str]) -> frozenset[str]:
        """See `Backbone.find_rounded`: all but those of batch normalisations."""
        norms = [one for one in self.graph.operations if one.kind == "batch_norm"]
        return frozenset(tensors).difference(*(one.inputs[1:] for one in norms))

    @cached_property
    def _epsilons(self) -> dict[str, float]:
        return {
            norm.inputs[1].rpartition(".")[0]: norm.attributes["epsilon"] for _, norm in find_foldable_norms(self.graph)
        }


def find_foldable_norms(graph: NetworkGraph) -> Iterator[tuple[Operation, Operation]]:
    """Find the batch normalisations that can be folded, each with its convolution: nothing else reads that value or
    those tensors.
    """
    readers: dict[str, list[Operation]] = {}
    for one in graph.operations:
        for name in one.inputs:
            readers.setdefault(name, []).append(one)
    made = {one.name: one for one in graph.operations}
    weights = set(graph.tensors) - set(graph.constants)
    for norm in graph.operations:
        convolution = made.get(norm.inputs[0]) if norm.kind == "batch_norm" else None
        if convolution is None or convolution.kind != "convolution":
            continue
        tensors = (*convolution.inputs[1:], *norm.inputs[1:])
        alone = all(len(readers[name]) == 1 for name in (convolution.name, *tensors))
        prefix = norm.inputs[1].rpartition(".")[0]
        usual = norm.inputs[1:] == tuple(f"{prefix}.{kind}" for kind in NORM_TENSORS)
        if alone and usual and weights.issuperset(tensors) and convolution.inputs[1].endswith(".weight"):
            yield convolution, norm


#: The networks that this process knows, by backbone and size of images.
_BACKBONES: dict[tuple[str, int], ExportedBackbone] = {}


def is_exported(backbone: str) -> bool:
    """Whether a task's backbone is an exported network, by its name."""
    return backbone.startswith((TIMM, PROGRAM))


def add_network(backbone: str, image_size: int, network: ExportedNetwork) -> None:
    """Make a network known to this process.

    Args:
        backbone: name in tasks: of an exported network, or of a backbone of the table that is built from its graph.
        image_size: width and height of the images that it was exported for.
    """
    features = network.graph.features
    _BACKBONES[backbone, image_size] = ExportedBackbone(
        backbone, "exported", features, WEIGHTS, stride=1, network=network
    )


def find_backbone(name: str, image_size: int) -> ExportedBackbone:
    """Find a network that this process knows.

    Raises:
        LookupError: it was not added.
    """
    if (name, image_size) not in _BACKBONES:
        raise LookupError(f"the graph of {name} at {image_size} px is not known: export it first")
    return _BACKBONES[name, image_size]


def _find_stage(name: str) -> str:
    """`layer4.` of `layer4.1.conv1.weight`, `blocks.11.` of `blocks.11.attn.qkv.weight`; empty for `norm.weight`."""
    first, *others = name.split(".")
    if len(others) < 2:
        return ""
    if first[-1:].isdecimal():
        return f"{first}."
    return f"{first}.{others[0]}." if others[0].isdecimal() else ""
