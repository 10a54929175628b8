"""A knob is without effect wherever what is in force is not what the variant asks for."""

from __future__ import annotations

import pytest

from backends.knobs import KNOBS, get_default
from backends.task import Variant
from bench.analysis.knob_effects import find_ineffective_knobs
from bench.records import process_flags

CASES = [(backend, knob) for knob, described in KNOBS.items() for backend in described.values if knob != "precision"]


@pytest.mark.parametrize(("backend", "knob"), CASES)
def test_every_knob_of_every_backend_is_compared(backend, knob):
    asked = get_default(backend, knob)
    for resolved in ({knob: "another"}, {"flags": {knob: "another"}}):
        found = list(find_ineffective_knobs(backend, Variant(), resolved, None))
        assert found == [f"{knob} {asked}: another is in force"]
    assert list(find_ineffective_knobs(backend, Variant(), {"flags": {knob: asked}}, None)) == []
    assert list(find_ineffective_knobs("mine", Variant(), {"flags": {knob: "another"}}, None)) == []


@pytest.mark.parametrize(
    ("variant", "flags", "lines"),
    [
        ({"threads": 4}, {"intra_op_threads": 2}, ["threads 4: 2 in force"]),
        ({"threads": 2}, {"intra_op_threads": 2}, []),
        ({"threads": 4, "devices": 2}, {"intra_op_threads": 2}, []),
        ({"threads": 4, "devices": 2}, {"intra_op_threads": 4}, ["threads 2: 4 in force"]),
        ({"threads": 2, "devices": 2}, {"intra_op_threads": 2, "nodes": 2}, []),
        ({}, {process_flags.ALLOCATOR: "jemalloc"}, ["allocator system: the process uses the jemalloc one"]),
        ({"allocator": "tcmalloc"}, {process_flags.ALLOCATOR: "tcmalloc"}, []),
        (
            {"allocator": "hugepages"},
            {process_flags.HUGE: "0"},
            ["allocator hugepages: no memory of the process is in h"],
        ),
        ({}, {process_flags.CPUS: "1"}, ["affinity free: the main thread may use 1 of 4 CPUs"]),
        ({"devices": 2}, {process_flags.CPUS: "2"}, []),
        ({"affinity": "bound"}, {process_flags.CPUS: "4"}, ["affinity bound: the main thread may use 4 CPUs"]),
        ({"affinity": "bound"}, {process_flags.CPUS: "1"}, []),
    ],
)
def test_what_the_process_shows_is_compared_too(variant, flags, lines):
    found = list(find_ineffective_knobs("pytorch", Variant(**variant), {"flags": flags}, 4))
    assert len(found) == len(lines)
    assert all(one.startswith(line) for one, line in zip(found, lines, strict=True)), found
