"""Where memory cannot hold all workers of a launch, those of one engine stay together."""

from __future__ import annotations

import pytest

from backends.task import Variant
from bench.measure import worker_groups
from bench.measure.worker_groups import group_jobs
from bench.records.launch_rows import find_local_peak
from bench.records.record import Memory, Phase
from bench.records.units import GIB
from bench.worker.job import Job
from tests.bench import example_records

ALL = ("pytorch", "tensorflow", "keras", "lightning")


@pytest.fixture
def memory(monkeypatch):
    def set_available(size: float | None) -> None:
        monkeypatch.setattr(worker_groups, "read_memory", lambda: (size and round(size * GIB), None))

    return set_available


def jobs(*backends: str, devices: int | None = None, nodes: int = 1) -> list[Job]:
    variant = Variant(devices=devices)
    return [
        Job.model_construct(backend=name, case=f"{name}-default", variant=variant, nodes=nodes) for name in backends
    ]


def group(*backends: str, records=(), isolated: bool = False, **place) -> list[list[str]]:
    return [[job.backend for job in each] for each in group_jobs(jobs(*backends, **place), records, isolated)]


def test_all_are_together_where_memory_holds_them_or_is_not_known(memory):
    for available in (8, None):
        memory(available)
        assert group(*ALL) == [list(ALL)]


def test_cases_of_one_engine_stay_together(memory):
    memory(5)
    assert group(*ALL) == [["pytorch", "lightning"], ["tensorflow", "keras"]]
    assert group(*ALL, *ALL[:3]) == [
        ["pytorch", "lightning", "pytorch"],
        ["tensorflow", "keras", "tensorflow"],
        ["keras"],
    ]


def test_three_are_always_together_and_isolated_ones_alone(memory):
    memory(1)
    assert group(*ALL[:3]) == [list(ALL[:3])]
    assert group(*ALL[:3], isolated=True) == [[name] for name in ALL[:3]]
    assert group(*["pytorch"] * 7) == [["pytorch"] * 3, ["pytorch"] * 3, ["pytorch"]]


def test_what_a_case_needs_is_known_from_its_records(memory):
    memory(5)
    known = [
        record.model_copy(update={"case": f"{name}-default"})
        for name in ALL
        for record in example_records.launches(name, 1)
    ]
    assert group(*ALL, records=known) == [list(ALL)]


def test_each_process_on_this_machine_needs_memory(memory):
    memory(8)
    assert group(*ALL, devices=2) == [["pytorch", "lightning"], ["tensorflow", "keras"]]
    assert group(*ALL, devices=2, nodes=2) == [list(ALL)]


def test_the_peak_on_this_machine_is_that_of_its_own_processes():
    (record,) = example_records.launches("pytorch", 1)
    phase = Phase(name="training", peak=100, live=90, children=4, processes=(10, 20, 30, 40))
    memory = Memory(host=(phase,), resettable=True, device_allocated=None, device_reserved=None, nvml_device=None)
    for nodes, peak in ((1, 104), (2, 32)):
        resolved = {**record.resolved, "nodes": nodes}
        assert find_local_peak(record.model_copy(update={"memory": memory, "resolved": resolved})) == peak
    assert find_local_peak(record.model_copy(update={"memory": None})) is None
