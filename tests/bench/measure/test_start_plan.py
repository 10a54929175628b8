"""How a launch starts its workers: the first ones alone, for their start-up figures, and later ones side by side."""

from __future__ import annotations

import os
import signal

import pytest

from bench.analysis.launches import group_by_task
from bench.measure import start_plan
from bench.measure.start_plan import START_UP_LAUNCHES, choose_limits, count_parallel_builds
from bench.records import store
from bench.report.tables.start_up_table import build_start_up_table
from tests.bench import example_records
from tests.bench.processes import Bench, arguments_of, living, suite_file, wait_until

GB = 2**30


@pytest.fixture(autouse=True)
def machine(monkeypatch):
    monkeypatch.setattr(start_plan, "read_memory", lambda: (100 * GB, 200 * GB))
    monkeypatch.setattr(start_plan, "count_usable_cores", lambda: 2)


def make_records(launches: int, **changes: object) -> list:
    made = [example_records.record("pytorch", number) for number in range(1, launches + 1)]
    return [record.model_copy(update=changes) for record in made]


def test_the_first_launches_start_alone_and_later_ones_side_by_side():
    for launches in range(START_UP_LAUNCHES):
        assert choose_limits(make_records(launches), 3).parallel_builds == 1
    assert choose_limits(make_records(START_UP_LAUNCHES), 3).parallel_builds == 3


@pytest.mark.parametrize("changes", [{"start_up": None}, {"started_alone": False}])
def test_a_launch_without_start_up_figures_does_not_count(changes):
    records = make_records(START_UP_LAUNCHES)
    records[-1] = records[-1].model_copy(update=changes)
    assert choose_limits(records, 3).parallel_builds == 1


def test_only_as_many_start_as_memory_and_cores_allow(monkeypatch):
    assert count_parallel_builds(8, 1 * GB) == 4, "two for each core"
    monkeypatch.setattr(start_plan, "read_memory", lambda: (3 * GB, 200 * GB))
    assert count_parallel_builds(8, 1 * GB) == 2, "a part stays free"
    assert count_parallel_builds(8, 10 * GB) == 1


@pytest.mark.parametrize(("peak", "memory"), [(None, (100 * GB, None)), (GB, (None, None))])
def test_they_start_alone_where_it_is_not_known_what_they_need(monkeypatch, peak, memory):
    monkeypatch.setattr(start_plan, "read_memory", lambda: memory)
    assert count_parallel_builds(3, peak) == 1


def test_a_start_beside_others_is_in_no_start_up_figure():
    alone = [*make_records(4), *[example_records.record("keras", number) for number in range(1, 5)]]
    later = [
        example_records.record(backend, 5).model_copy(update={"started_alone": False, "start_up": None})
        for backend in ("pytorch", "keras")
    ]
    (without,), (with_later,) = group_by_task(alone), group_by_task([*alone, *later])
    assert build_start_up_table(with_later, "pytorch").rows[0] == build_start_up_table(without, "pytorch").rows[0]


@pytest.mark.slow
def test_ctrl_c_while_several_build_leaves_nobody_behind(tmp_path):
    results, launches = tmp_path / "results", START_UP_LAUNCHES + 1
    suite = suite_file(tmp_path, launches=launches, rounds=2)
    two = ("--backend", "pytorch", "--backend", "keras")
    with Bench("run", "--suite", suite, *two, "--results", results, cwd=tmp_path) as bench:
        bench.until(lambda: len(list(results.glob("*/records/*.json"))) == 2 * START_UP_LAUNCHES)
        bench.until(lambda: sum("bench.worker" in arguments_of(p) for p in bench.workers()) == 2)
        workers = bench.workers()
        os.killpg(bench.process.pid, signal.SIGINT)
        assert bench.end(30) == 130
    assert len(workers) >= 2
    assert wait_until(lambda: not living(workers), 5)
    found, problems = store.read_records(next(results.iterdir()))
    assert (len(found), problems) == (2 * START_UP_LAUNCHES, [])
    assert all(record.started_alone and record.start_up for record in found)


@pytest.mark.thorough
def test_the_records_of_a_run_say_which_launches_took_start_up_figures(tmp_path):
    results = tmp_path / "results"
    suite = suite_file(tmp_path, launches=START_UP_LAUNCHES + 2, rounds=2)
    with Bench("run", "--suite", suite, "--results", results, cwd=tmp_path) as bench:
        assert bench.end() == 0, bench.stderr
    found, _ = store.read_records(next(results.iterdir()))
    by_launch = {launch: [r for r in found if r.launch == launch] for launch in range(1, START_UP_LAUNCHES + 3)}
    for launch, records in by_launch.items():
        alone = launch <= START_UP_LAUNCHES
        assert [(r.failure, r.started_alone, r.start_up is not None) for r in records] == [(None, alone, alone)] * 3
        assert all(r.pipeline and r.compute and r.memory for r in records)
        assert [len(r.fine_tunes) for r in records] == [int(launch == 2)] * 3, "ratios come first"
        assert [(r.proof.comparable, r.proof.seconds > 0) for r in records] == [(True, launch == 1)] * 3
    names = [{check.name for check in r.proof.checks} for r in by_launch[2] if r.backend == "keras"]
    assert all({"outcome", "frozen after fine-tune"} <= checks for checks in names)
