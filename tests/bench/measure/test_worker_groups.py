"""Where memory cannot hold all workers of a launch, those of one engine stay together."""

from __future__ import annotations

import pytest

from bench.measure import worker_groups
from bench.measure.worker_groups import group_jobs
from bench.records.units import GIB
from bench.worker.job import Job
from tests.bench import example_records

ALL = ("pytorch", "tensorflow", "keras", "lightning")


@pytest.fixture
def memory(monkeypatch):
    def set_available(size: float | None) -> None:
        monkeypatch.setattr(worker_groups, "read_memory", lambda: (size and round(size * GIB), None))

    return set_available


def jobs(*backends: str) -> list[Job]:
    return [Job.model_construct(backend=name, case=f"{name}-default") for name in backends]


def group(*backends: str, records=(), isolated: bool = False) -> list[list[str]]:
    return [[job.backend for job in each] for each in group_jobs(jobs(*backends), records, isolated)]


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
