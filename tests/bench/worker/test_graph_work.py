"""The work of an exported network, by hand."""

from __future__ import annotations

import math

from backends.exported.network_graph import NetworkGraph, Operation
from bench.worker.graph_work import count_others, count_products, find_changing_values

BATCH, SIZE = 2, 4
TENSORS = {"first": (5, 3), "second": (4, 5), "scale": (5,), "offset": (5,)}
GRAPH = NetworkGraph(
    {},
    (3, 1, 1),
    TENSORS,
    (
        Operation("flat", "reshape", ("images",), {"shape": ("b", 3)}, ("b", 3)),
        Operation("one", "linear", ("flat", "first"), {}, ("b", 5)),
        Operation("normed", "layer_norm", ("one", "scale", "offset"), {"axes": (1,), "epsilon": 1e-5}, ("b", 5)),
        Operation("two", "linear", ("normed", "second"), {}, ("b", 4)),
    ),
    tuple(TENSORS),
)


def test_forward_of_products():
    work = count_products(GRAPH, (), BATCH, SIZE)
    assert work.flop == 2 * (2 * 5 * 3 + 2 * 4 * 5)
    assert work.bytes == SIZE * ((2 * 3 + 5 * 3 + 2 * 5) + (2 * 5 + 4 * 5 + 2 * 4))


def test_back_goes_to_what_is_trained_and_to_what_is_below():
    assert find_changing_values(GRAPH, ("scale",)) == {"scale", "normed", "two"}
    forward = count_products(GRAPH, (), BATCH, SIZE).flop
    second = 2 * 2 * 4 * 5
    assert count_products(GRAPH, ("second",), BATCH, SIZE).flop == forward + second
    assert count_products(GRAPH, ("scale",), BATCH, SIZE).flop == forward + second
    assert count_products(GRAPH, ("first", "second"), BATCH, SIZE).flop == forward + 2 * second + 2 * 2 * 5 * 3


def test_between_products_numbers_are_read_and_written():
    work = count_others(GRAPH, (), BATCH, SIZE)
    assert (work.flop, work.bytes) == (2 * 10, SIZE * (10 + 5 + 5 + 10))
    assert count_others(GRAPH, ("scale",), BATCH, SIZE).bytes == 2 * work.bytes


def test_an_lstm_multiplies_the_state_by_the_weight_of_each_gate():
    gates = Operation("gates", "broadcast", ("first",), {"shape": ("b", 7, 20)}, ("b", 7, 20))
    lstm = Operation("hidden", "lstm", ("gates", "weight"), {"reverse": False}, ("b", 7, 5))
    graph = NetworkGraph({}, (3, 1, 1), {**TENSORS, "weight": (20, 5)}, (gates, lstm))
    assert count_products(graph, (), BATCH, SIZE).flop == 2 * math.prod((BATCH, 7, 5, 20))


def test_attention_is_two_products():
    shapes = {"query": ("b", 2, 7, 8), "key": ("b", 2, 9, 8), "value": ("b", 2, 9, 8)}
    sources = tuple(Operation(name, "broadcast", ("first",), {"shape": one}, one) for name, one in shapes.items())
    attention = Operation("mixed", "attention", tuple(shapes), {"scale": 1.0}, ("b", 2, 7, 8))
    graph = NetworkGraph({}, (3, 1, 1), TENSORS, (*sources, attention))
    assert count_products(graph, (), BATCH, SIZE).flop == 2 * 2 * math.prod((2, 2, 7, 9, 8))
