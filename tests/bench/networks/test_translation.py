"""PyTorch's operations as operations of the neutral graph, without PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from bench.networks.aten_operations import OPERATIONS
from bench.networks.graph_writer import GraphWriter, Node, Unexportable


@pytest.fixture
def graph():
    return GraphWriter({"indices": np.arange(3), "weight": np.ones((3, 4), np.float32)}, (3, 8, 8))


def translate(graph, target, shape, **arguments):
    return OPERATIONS[target](Node(target, arguments, shape), graph)


def test_values_stay_in_single_precision(graph):
    assert translate(graph, "_to_copy", (3, 4), self="weight", dtype="torch.float32") == "weight"
    assert translate(graph, "_to_copy", (3, 4), self="weight", dtype=None) == "weight"
    with pytest.raises(Unexportable, match=r"^_to_copy to torch\.float64$"):
        translate(graph, "_to_copy", (3, 4), self="weight", dtype="torch.float64")
    with pytest.raises(Unexportable, match=r"^_to_copy of whole numbers"):
        translate(graph, "_to_copy", (3,), self="indices", dtype="torch.float32")
