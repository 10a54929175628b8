"""An exported network as a variant executes it, for all engines: channels last, folded, in the variant's precision."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from backends import folding
from backends.convolutions import Geometry
from backends.exported.exported_backbone import find_backbone, find_foldable_norms
from backends.exported.network_graph import NetworkGraph, Operation, to_sizes
from backends.exported.weight_layouts import lay_out_for_engines
from backends.task import Task, Variant
from backends.values import Tensors


@dataclass(frozen=True, eq=False)
class ExecutedNetwork:
    """What an engine builds.

    Attributes:
        graph: on images (b, height, width, channels), without the normalisations that the variant folds.
        layouts: the axes by which an engine's tensors are transposed from those of the checkpoint, by name; others are
            as they are there.
        shapes: of the executed tensors, as the engine keeps them.
        constants: tensors that no checkpoint has, as the engine reads them.
        rounded: names of the tensors that are kept in the variant's precision; others are float32.
        trained: names of the tensors that the task trains.
        in_force: values of knobs that are in force in what is built.
    """

    graph: NetworkGraph
    layouts: Mapping[str, tuple[int, ...]]
    shapes: Mapping[str, tuple[int, ...]]
    constants: Tensors
    rounded: frozenset[str]
    trained: tuple[str, ...]
    in_force: Mapping[str, str]

    def lay_out(self, name: str, tensor: np.ndarray) -> np.ndarray:
        """A tensor of the checkpoint as the engine keeps it."""
        return tensor.transpose(self.layouts[name]) if name in self.layouts else tensor

    def lay_out_as_in_checkpoint(self, name: str, value: np.ndarray) -> np.ndarray:
        """A copy of a tensor's value, or of its gradient, in the checkpoint's layout."""
        axes = self.layouts.get(name)
        return np.array(value if axes is None else value.transpose(np.argsort(axes)), np.float32, order="C")


def name_graph(task: Task, variant: Variant) -> Variant:
    """The variant with the knob `graph` as it is for the task: an exported network has no other."""
    return variant.model_copy(update={"graph": "exported"}) if is_built_from_graph(task, variant) else variant


def is_built_from_graph(task: Task, variant: Variant) -> bool:
    """Whether an engine builds the task's network from its neutral graph."""
    return task.network.family == "exported" or variant.graph == "exported"


def make_executed_network(task: Task, variant: Variant) -> ExecutedNetwork:
    """What an engine builds for a task whose graph this process knows.

    Raises:
        LookupError: it does not.
    """
    exported = find_backbone(task.backbone, task.image_size)
    folds = folding.folds_batch_norm(variant) and bool(task.network.pair_convolutions_with_norms())
    graph = fold_norms(exported.graph) if folds else exported.graph
    laid_out = lay_out_for_engines(graph)
    products = folding.find_product_convolutions(task, variant)
    shapes = {name: laid_out.graph.tensors[name] for name in graph.tensors if name not in graph.constants}
    graph = replace(laid_out.graph, operations=tuple(_write_products(laid_out.graph.operations, products)))
    for prefix, geometry in products.items():
        shapes |= _find_product_shapes(prefix, shapes, geometry)
    return ExecutedNetwork(
        graph,
        laid_out.layouts,
        shapes,
        laid_out.lay_out(exported.constants),
        task.network.find_rounded(shapes),
        task.trained,
        {
            "layout": "nhwc",
            "precision": variant.precision,
            "folding": "product" if products else "conv_bn" if folds else "none",
            "graph": "exported",
        },
    )


def fold_norms(graph: NetworkGraph) -> NetworkGraph:
    """The graph without the normalisations that can be folded: their convolutions have a bias, `….bias`."""
    pairs = {norm.name: convolution for convolution, norm in find_foldable_norms(graph)}
    biased = {convolution.name for convolution in pairs.values()}
    values = {norm: convolution.name for norm, convolution in pairs.items()}
    dropped = {name for norm in graph.operations if norm.name in pairs for name in norm.inputs[1:]}
    tensors = {name: shape for name, shape in graph.tensors.items() if name not in dropped}
    operations = []
    for one in graph.operations:
        if one.name in pairs:
            continue
        inputs = tuple(values.get(name, name) for name in one.inputs)
        if one.name in biased:
            weight = one.inputs[1]
            bias = f"{weight.rpartition('.')[0]}.bias"
            tensors[bias] = graph.tensors[weight][:1]
            inputs = (*inputs[:2], bias)
        operations.append(replace(one, inputs=inputs))
    parameters = tuple(name for name in graph.parameters if name in tensors)
    return replace(graph, tensors=tensors, operations=tuple(operations), parameters=parameters)


def _write_products(operations: tuple[Operation, ...], products: Mapping[str, Geometry]) -> Iterator[Operation]:
    """The operations, with those convolutions as products of a whole map and one matrix, see
    `folding.make_product_weights`.
    """
    shapes = {one.name: one.shape for one in operations}
    for one in operations:
        prefix = one.inputs[1].rpartition(".")[0] if one.kind == "convolution" else ""
        if prefix not in products:
            yield one
            continue
        _, height, width, channels = shapes[one.inputs[0]]
        pixels, outputs = int(height) * int(width) * int(channels), math.prod(to_sizes(one.shape[1:], 1))
        flat, matrix, product = (f"{one.name}_{part}" for part in ("flat", "matrix", "product"))
        yield Operation(flat, "reshape", one.inputs[:1], {"shape": ("b", pixels)}, ("b", pixels))
        yield Operation(matrix, "reshape", one.inputs[1:2], {"shape": (pixels, outputs)}, (pixels, outputs))
        yield Operation(product, "linear", (flat, matrix, *one.inputs[2:]), {}, ("b", outputs))
        yield Operation(one.name, "reshape", (product,), {"shape": one.shape}, one.shape)


def _find_product_shapes(prefix: str, shapes: Mapping[str, tuple[int, ...]], geometry: Geometry) -> dict:
    """The shapes of a product's tensors: the weight as a 1 x 1 convolution's, channels last."""
    into, out = shapes[f"{prefix}.weight"][2:]
    after = (-(-geometry.side // geometry.stride)) ** 2
    return {f"{prefix}.weight": (1, 1, geometry.side**2 * into, after * out), f"{prefix}.bias": (after * out,)}
