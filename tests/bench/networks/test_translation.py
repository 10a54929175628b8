"""PyTorch's operations as operations of the neutral graph, without PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from bench.networks import aten_arithmetic
from bench.networks.aten_einsum import multiply_sizes
from bench.networks.graph_writer import GraphWriter, Node, Unexportable


@pytest.fixture
def graph():
    return GraphWriter({"indices": np.arange(3), "weight": np.ones((3, 4), np.float32)}, (3, 8, 8))


def convert(graph, shape, **arguments):
    return aten_arithmetic.convert(Node("_to_copy", arguments, shape), graph)


def test_values_stay_in_single_precision(graph):
    assert convert(graph, (3, 4), self="weight", dtype="torch.float32") == "weight"
    assert convert(graph, (3, 4), self="weight", dtype=None) == "weight"
    with pytest.raises(Unexportable, match=r"^_to_copy to torch\.float64$"):
        convert(graph, (3, 4), self="weight", dtype="torch.float64")
    with pytest.raises(Unexportable, match=r"^_to_copy of whole numbers"):
        convert(graph, (3,), self="indices", dtype="torch.float32")


def test_sizes_are_multiplied_with_one_multiple_of_the_batch_at_most():
    assert multiply_sizes(["b", 3, 4]) == "12b"
    assert multiply_sizes([7, "2b"]) == "14b"
    assert multiply_sizes(["b", 1]) == "b"
    assert multiply_sizes([]) == 1
    with pytest.raises(Unexportable, match="squared"):
        multiply_sizes(["b", "2b"])
