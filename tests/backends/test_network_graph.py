"""The neutral graph: what is read is what was written, what is none is refused, and how channels move last."""

from __future__ import annotations

import json
import math

import pytest

from backends.exported.channels_last import move_channels_last
from backends.exported.network_graph import InvalidGraph, NetworkGraph, Operation, read_graph, to_sizes, write_graph

CONVOLUTION = {"strides": (2, 2), "padding": ((1, 1), (1, 1)), "dilations": (1, 1), "groups": 1}
SOURCE = {"network": "small"}


def make_graph(*operations, tensors=None):
    return NetworkGraph(SOURCE, (3, 8, 8), tensors or {"stem.weight": (4, 3, 3, 3)}, operations)


STEM = Operation("stem", "convolution", ("images", "stem.weight"), CONVOLUTION, ("b", 4, 4, 4))
POOL = Operation("pool", "mean", ("stem",), {"axes": (2, 3), "keeps_axes": False}, ("b", 4))


def test_a_graph_is_read_as_it_was_written():
    graph = make_graph(STEM, POOL)
    assert read_graph(json.loads(json.dumps(write_graph(graph)))) == graph
    assert graph.features == 4
    assert graph.list_kinds() == {"convolution": 1, "mean": 1}


def test_an_infinite_number_is_written_in_valid_json():
    padded = Operation(
        "padded", "pad", ("stem",), {"padding": ((0, 0), (0, 0), (1, 1), (1, 1)), "value": -math.inf}, ("b", 4, 6, 6)
    )
    graph = make_graph(STEM, padded)
    text = json.dumps(write_graph(graph), allow_nan=False)
    assert '"value": "-inf"' in text
    assert read_graph(json.loads(text)) == graph


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(format=2), "its format is 2, and 1 is read"),
        (lambda content: content.pop("tensors"), "it is not the graph of a network: KeyError"),
        (lambda content: content["operations"][0].update(kind="erf"), "stem is a erf, which is no operation"),
        (lambda content: content["operations"][0]["attributes"].pop("groups"), "has the attributes strides"),
        (lambda content: content["operations"][1].update(inputs=["later"]), "pool reads later, which is not before it"),
        (lambda content: content["operations"][1].update(name="stem"), "two values are called stem"),
        (lambda content: content["operations"][1].update(shape=["c", 4]), "pool has the shape"),
        (lambda content: content.update(operations=[]), "it has no operations"),
    ],
)
def test_what_is_no_graph_is_refused(change, message):
    content = json.loads(json.dumps(write_graph(make_graph(STEM, POOL))))
    change(content)
    with pytest.raises(InvalidGraph, match=message):
        read_graph(content)


def test_a_shape_has_multiples_of_the_batch():
    assert to_sizes(("b", 4, "64b"), 3) == (3, 4, 192)


def kinds(graph):
    return [(one.kind, one.shape) for one in graph.operations]


def test_maps_have_their_channels_last_and_nothing_is_turned_around_an_operation():
    moved = move_channels_last(make_graph(STEM, POOL))
    assert kinds(moved) == [("convolution", ("b", 4, 4, 4)), ("mean", ("b", 4))]
    assert moved.operations[1].attributes["axes"] == (1, 2)


def test_pixels_become_a_sequence_without_being_turned():
    rows = Operation("rows", "reshape", ("stem",), {"shape": ("b", 4, 16)}, ("b", 4, 16))
    sequence = Operation("sequence", "transpose", ("rows",), {"axes": (0, 2, 1)}, ("b", 16, 4))
    tokens = Operation("tokens", "mean", ("sequence",), {"axes": (1,), "keeps_axes": False}, ("b", 4))
    assert kinds(move_channels_last(make_graph(STEM, rows, sequence, tokens))) == [
        ("convolution", ("b", 4, 4, 4)),
        ("reshape", ("b", 16, 4)),
        ("mean", ("b", 4)),
    ]


def test_pixels_that_become_one_row_of_values_are_turned_once():
    flat = Operation("flat", "reshape", ("stem",), {"shape": ("b", 64)}, ("b", 64))
    assert kinds(move_channels_last(make_graph(STEM, flat))) == [
        ("convolution", ("b", 4, 4, 4)),
        ("transpose", ("b", 4, 4, 4)),
        ("reshape", ("b", 64)),
    ]


def test_two_turns_that_cancel_are_left_out_as_around_convnexts_layer_norm():
    norm = {"norm.weight": (4,), "norm.bias": (4,), "stem.weight": (4, 3, 3, 3), "next.weight": (4, 4, 3, 3)}
    last = Operation("last", "transpose", ("stem",), {"axes": (0, 2, 3, 1)}, ("b", 4, 4, 4))
    normed = Operation(
        "normed", "layer_norm", ("last", "norm.weight", "norm.bias"), {"axes": (3,), "epsilon": 1e-6}, ("b", 4, 4, 4)
    )
    first = Operation("first", "transpose", ("normed",), {"axes": (0, 3, 1, 2)}, ("b", 4, 4, 4))
    following = Operation("next", "convolution", ("first", "next.weight"), CONVOLUTION, ("b", 4, 2, 2))
    pool = Operation("pool", "mean", ("next",), {"axes": (2, 3), "keeps_axes": False}, ("b", 4))
    moved = move_channels_last(make_graph(STEM, last, normed, first, following, pool, tensors=norm))
    assert [one.kind for one in moved.operations] == ["convolution", "layer_norm", "convolution", "mean"]


def test_what_is_broadcast_to_maps_has_its_channels_last_too():
    scale = {"scale": (4, 1, 1), "stem.weight": (4, 3, 3, 3)}
    scaled = Operation("scaled", "multiply", ("stem", "scale"), {"constants": (None, None)}, ("b", 4, 4, 4))
    pool = Operation("pool", "mean", ("scaled",), {"axes": (2, 3), "keeps_axes": False}, ("b", 4))
    moved = move_channels_last(make_graph(STEM, scaled, pool, tensors=scale))
    assert kinds(moved)[1] == ("reshape", (1, 1, 1, 4))


def test_maps_that_are_broadcast_stay_as_they_are():
    pixel = Operation("pixel", "mean", ("stem",), {"axes": (2, 3), "keeps_axes": True}, ("b", 4, 1, 1))
    whole = Operation("whole", "broadcast", ("pixel",), {"shape": ("b", 4, 2, 2)}, ("b", 4, 2, 2))
    pool = Operation("pool", "mean", ("whole",), {"axes": (2, 3), "keeps_axes": False}, ("b", 4))
    moved = move_channels_last(make_graph(STEM, pixel, whole, pool))
    assert kinds(moved)[1:] == [("mean", ("b", 1, 1, 4)), ("broadcast", ("b", 2, 2, 4)), ("mean", ("b", 4))]
    assert moved.operations[2].attributes["shape"] == ("b", 2, 2, 4)
