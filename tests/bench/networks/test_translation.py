"""PyTorch's operations as operations of the neutral graph, without PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from bench.networks import aten_arithmetic, aten_maps, aten_recurrence, aten_shapes
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
    with pytest.raises(Unexportable, match=r"^a conversion to torch\.float64: leave it out"):
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


def convolve(graph, values, sides, **arguments):
    """A convolution 3 wide of 3 channels with a stride of two, without padding of its own unless it is given."""
    graph.tensors["kernel"] = np.ones((4, 3, 3, 3), np.float32)
    given = {"input": values, "weight": "kernel", "bias": None, "stride": (2, 2), "dilation": (1, 1), "groups": 1}
    aten_maps.convolution(Node("conv2d", {**given, "padding": (0, 0), **arguments}, ("b", 4, *sides)), graph)
    return graph._operations[-1]


def test_a_convolution_pads_by_itself(graph):
    padded = aten_shapes.pad(Node("pad", {"self": "images", "pad": (0, 1, 1, 2)}, ("b", 3, 11, 9)), graph)
    convolution = convolve(graph, padded, (5, 4))
    assert (convolution.inputs[0], convolution.attributes["padding"]) == ("images", ((1, 2), (0, 1)))
    convolution = convolve(graph, padded, (6, 5), padding=(1, 1))
    assert (convolution.inputs[0], convolution.attributes["padding"]) == ("images", ((2, 3), (1, 2)))


@pytest.mark.parametrize(
    ("pad", "value", "shape"), [((0, 1, 1, 2), 1.0, ("b", 3, 11, 9)), ((0, 1, 0, 0, 1, 0), 0.0, ("b", 4, 8, 9))]
)
def test_other_numbers_and_other_channels_are_no_padding_of_a_convolution(graph, pad, value, shape):
    padded = aten_shapes.pad(Node("pad", {"self": "images", "pad": pad, "value": value}, shape), graph)
    convolution = convolve(graph, padded, (5, 4))
    assert (convolution.inputs[0], convolution.attributes["padding"]) == (padded, ((0, 0), (0, 0)))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hx": ["weight", "zeros"]}, "^an LSTM that does not start with zeros$"),
        ({"params": ["recurrent"] * 3}, "^an LSTM with projections$"),
    ],
)
def test_an_lstm_with_a_state_of_its_own_or_projections_is_refused(graph, change, reason):
    graph.tensors |= {"zeros": np.zeros((1, 1, 4), np.float32), "recurrent": np.ones((16, 4), np.float32)}
    values = graph.add("reshape", ["images"], ("b", 24, 8), shape=("b", 24, 8))
    given = {"input": values, "hx": ["zeros"] * 2, "params": ["recurrent"] * 2, "has_biases": False, "num_layers": 1}
    given |= {"bidirectional": False, "batch_first": True}
    (name,) = aten_recurrence.lstm(Node("lstm", given, ("b", 24, 4)), graph)
    assert graph.shape(name) == ("b", 24, 4)
    with pytest.raises(Unexportable, match=reason):
        aten_recurrence.lstm(Node("lstm", given | change, ("b", 24, 4)), graph)
