"""The profile after a verdict: parts of a step from rounds that each do more than the ones before."""

from __future__ import annotations

import pytest

from bench.gate.slower_part import StepPart, describe_parts, split_step

BASE = {"loader": [0.004, 0.005, 0.004], "forward": [0.010] * 3, "gradient": [0.012] * 3, "update": [0.013] * 3}


def test_a_part_is_the_difference_between_two_kinds_of_rounds():
    found = split_step(BASE, BASE | {"gradient": [0.015] * 3, "update": [0.016] * 3})
    assert [part.name for part in found] == ["input", "forward", "loss and head gradient", "optimiser"]
    assert [part.base for part in found] == pytest.approx([0.004, 0.010, 0.002, 0.001])
    assert [part.head for part in found] == pytest.approx([0.004, 0.010, 0.005, 0.001])


def test_the_part_that_grew_most_is_named_first():
    line = describe_parts(split_step(BASE, BASE | {"gradient": [0.015] * 3, "update": [0.016] * 3}))
    assert line.startswith("most of it in loss and head gradient 5.00 ms, was 2.00 ms; input 4.00 ms, was 4.00 ms")
    assert line.endswith("(one launch pair, no interval)")


def test_where_no_part_grew_it_says_so():
    assert describe_parts([StepPart("input", 0.004, 0.004), StepPart("forward", 0.01, 0.009)]).startswith(
        "no single part became slower"
    )


def test_a_negative_difference_counts_as_zero():
    assert split_step(BASE, BASE | {"update": [0.011] * 3})[3].head == 0.0
