"""PyTorch's operations on each value, and over axes: `Node` to operations of the neutral graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from backends.exported.network_graph import Shape
from bench.networks.graph_writer import GraphWriter, Node, Unexportable, Unsuitable, to_number

#: The name of the value that stands for PyTorch's, or several names if PyTorch returns several.
Result = str | tuple[str, ...]
#: PyTorch's name of the type that values of the graph have.
SINGLE = "torch.float32"


def same(node: Node, graph: GraphWriter) -> Result:
    """What computes nothing in eval mode."""
    return node["self"]


def convert(node: Node, graph: GraphWriter) -> Result:
    """`to`, `_to_copy` and `type_as`: values stay in single precision."""
    if str(node.get("dtype") or SINGLE) != SINGLE:
        raise Unsuitable(f"a conversion to {node['dtype']}: leave it out, because values are of {SINGLE}")
    if graph.is_integer(node["self"]) or graph.is_boolean(node["self"]):
        raise Unexportable(f"{node.target} of whole numbers or truth values")
    return node["self"]


def unary(kind: str) -> Callable[[Node, GraphWriter], Result]:
    """A function of each value."""
    return lambda node, graph: graph.add(kind, [node["self"]], node.shape)


def binary(kind: str) -> Callable[[Node, GraphWriter], Result]:
    """An operation on two values, of which one may be a number."""

    def add(node: Node, graph: GraphWriter) -> Result:
        if node.get("alpha", 1) != 1:
            raise Unexportable(f"{node.target} with alpha {node['alpha']}")
        if node.get("rounding_mode"):
            raise Unexportable(f"{node.target} with rounding")
        return combine(graph, kind, node["self"], node["other"], node.shape)

    return add


def combine(graph: GraphWriter, kind: str, first: str | float, second: str | float, shape: Shape) -> str:
    """A binary operation; a number stands in `constants` (first, second), where a value is None."""
    inputs = [one for one in (first, second) if isinstance(one, str)]
    constants = tuple(None if isinstance(one, str) else float(one) for one in (first, second))
    return graph.add(kind, inputs, shape, constants=constants)


def multiply_matrices(graph: GraphWriter, left: np.ndarray, values: str, right: np.ndarray) -> str:
    """The product of a constant matrix (i, height), maps (b, c, height, width) and a constant matrix (width, j)."""
    batch, channels, _, width = graph.shape(values)
    factors = [graph.add_constant(one.astype(np.float32)[None, None]) for one in (left, right)]
    values = graph.add("matmul", [factors[0], values], (batch, channels, len(left), width))
    return graph.add("matmul", [values, factors[1]], (batch, channels, len(left), right.shape[1]))


def square(node: Node, graph: GraphWriter) -> Result:
    """`square`."""
    return combine(graph, "multiply", node["self"], node["self"], node.shape)


def reverse_subtract(node: Node, graph: GraphWriter) -> Result:
    """`rsub`."""
    if node["alpha"] != 1:
        raise Unexportable(f"{node.target} with alpha {node['alpha']}")
    return combine(graph, "subtract", node["other"], node["self"], node.shape)


def negate(node: Node, graph: GraphWriter) -> Result:
    """`neg`."""
    return combine(graph, "multiply", node["self"], -1.0, node.shape)


def reverse_root(node: Node, graph: GraphWriter) -> Result:
    """`rsqrt`."""
    return combine(graph, "divide", 1.0, graph.add("sqrt", [node["self"]], node.shape), node.shape)


def power(node: Node, graph: GraphWriter) -> Result:
    """`pow`."""
    return combine(graph, "power", node["self"], node["exponent"], node.shape)


def multiply_add(node: Node, graph: GraphWriter) -> Result:
    """`addcmul`."""
    if node.get("value", 1) != 1:
        raise Unexportable(f"{node.target} with value {node['value']}")
    shapes = [graph.shape(node[name]) for name in ("tensor1", "tensor2")]
    if any(len(shape) < len(node.shape) for shape in shapes):
        raise Unexportable(f"{node.target} of fewer axes")
    product = combine(graph, "multiply", node["tensor1"], node["tensor2"], node.shape)
    return combine(graph, "add", node["self"], product, node.shape)


def clamp(node: Node, graph: GraphWriter) -> Result:
    """`clamp`, `clamp_min`, `clamp_max` and `hardtanh`."""
    least, most = node.get("min", node.get("min_val")), node.get("max", node.get("max_val"))
    if isinstance(least, str) or isinstance(most, str):
        raise Unexportable(f"{node.target} with tensors as limits")
    least, most = (None if one is None or not math.isfinite(one) else float(one) for one in (least, most))
    if least is None and most is None:
        raise Unexportable(f"{node.target} without limits")
    return graph.add("clamp", [node["self"]], node.shape, minimum=least, maximum=most)


def relu6(node: Node, graph: GraphWriter) -> Result:
    """`relu6`."""
    return graph.add("clamp", [node["self"]], node.shape, minimum=0.0, maximum=6.0)


def by_default(kind: str, **defaults: float) -> Callable[[Node, GraphWriter], Result]:
    """A function of values whose arguments have to be PyTorch's defaults."""

    def add(node: Node, graph: GraphWriter) -> Result:
        for name, value in defaults.items():
            if node.get(name, value) != value:
                raise Unexportable(f"{node.target} with {name} {node[name]}")
        return graph.add(kind, [node["self"]], node.shape)

    return add


def dropout(node: Node, graph: GraphWriter) -> Result:
    """`dropout`, in eval mode."""
    if node["train"]:
        raise Unsuitable("dropout in train mode: export the network in eval mode")
    return same(node, graph)


def gelu(node: Node, graph: GraphWriter) -> Result:
    """`gelu`."""
    return graph.add("gelu", [node["self"]], node.shape, approximate=node["approximate"] == "tanh")


def leaky_relu(node: Node, graph: GraphWriter) -> Result:
    """`leaky_relu`."""
    return graph.add("leaky_relu", [node["self"]], node.shape, slope=float(node["negative_slope"]))


def mish(node: Node, graph: GraphWriter) -> Result:
    """`mish`: x times tanh(softplus(x))."""
    gate = graph.add("tanh", [graph.add("softplus", [node["self"]], node.shape)], node.shape)
    return combine(graph, "multiply", node["self"], gate, node.shape)


def softmax(node: Node, graph: GraphWriter) -> Result:
    """`softmax`."""
    return graph.add("softmax", [node["self"]], node.shape, axis=node.axis("dim"))


def reduce(kind: str) -> Callable[[Node, GraphWriter], Result]:
    """A reduction over axes: `mean`, `sum` and `amax`."""

    def add(node: Node, graph: GraphWriter) -> Result:
        axes = list_axes(node, graph)
        return graph.add(kind, [node["self"]], node.shape, axes=axes, keeps_axes=bool(node.get("keepdim")))

    return add


def list_axes(node: Node, graph: GraphWriter) -> tuple[int, ...]:
    """The axes of a reduction; all if none are named."""
    rank = len(graph.shape(node["self"]))
    dims = node.get("dim")
    dims = range(rank) if dims is None or dims == () else [dims] if isinstance(dims, int) else dims
    return tuple(sorted(one % rank for one in dims))


def variance(node: Node, graph: GraphWriter) -> Result:
    """`var`: of a sample, unless it says otherwise."""
    shape, axes = graph.shape(node["self"]), list_axes(node, graph)
    _, result = centre(graph, node["self"], axes)
    result = graph.add("reshape", [result], node.shape, shape=node.shape)
    number = math.prod(to_number(shape[axis]) for axis in axes)
    correction = node.get("correction", node.get("unbiased", True))
    less = 1 if correction is None else int(correction)
    return combine(graph, "multiply", result, number / (number - less), node.shape) if less else result


def centre(graph: GraphWriter, values: str, axes: Sequence[int]) -> tuple[str, str]:
    """Values less their mean over axes, and the biased variance, whose axes stay with length 1."""
    shape = graph.shape(values)
    reduced = tuple(1 if axis in axes else size for axis, size in enumerate(shape))
    mean = graph.add("mean", [values], reduced, axes=tuple(axes), keeps_axes=True)
    centred = combine(graph, "subtract", values, mean, shape)
    squares = combine(graph, "multiply", centred, centred, shape)
    return centred, graph.add("mean", [squares], reduced, axes=tuple(axes), keeps_axes=True)


def norm(node: Node, graph: GraphWriter) -> Result:
    """`linalg_vector_norm` of order 2."""
    if node["ord"] != 2:
        raise Unexportable(f"a vector norm of order {node['ord']}")
    values = node["self"]
    squares = combine(graph, "multiply", values, values, graph.shape(values))
    total = graph.add("sum", [squares], node.shape, axes=list_axes(node, graph), keeps_axes=bool(node.get("keepdim")))
    return graph.add("sqrt", [total], node.shape)
