"""A killed run can be resumed, only under the same conditions; and only one command measures at a time."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest

from bench.analysis.launches import group_by_task
from bench.analysis.warnings import MIN_LAUNCHES
from bench.errors import UserError
from bench.machine.environment import describe_environment
from bench.measure import resume
from bench.plan.amounts import parse_seconds, parse_share
from bench.plan.request import Request
from bench.records import store
from bench.report.exporters import write_environment
from tests.bench.processes import Bench, living, suite_file, wait_until


def test_differences_are_listed_with_both_values():
    before = {"packages": {"torch": "2.9"}, "time": "a", "gpus": [{"name": "A", "clock": 1}], "cpu": {"quota": None}}
    now = {"packages": {"torch": "2.10"}, "time": "b", "gpus": [{"name": "A", "clock": 2}], "cpu": {"quota": 2.0}}
    assert resume.find_differences(before, now) == [
        "packages.torch was 2.9 and is 2.10",
        "cpu.quota was None and is 2.0",
    ]


def test_a_run_that_was_killed_before_it_wrote_its_conditions_is_resumed_under_any(tmp_path):
    request = Request(tasks=["embedded"], overrides={"weights": "random"}, results=tmp_path)
    (tmp_path / store.RECORDS).mkdir()
    resume.write_request(tmp_path, request)
    assert resume.plan_remaining(tmp_path, resume.read_request(tmp_path), describe_environment()).done == ()
    write_environment(tmp_path, {**describe_environment(), "cpu": {"model": "Z80"}}, ())
    with pytest.raises(UserError, match=r"conditions have changed: cpu\.model was Z80 and is "):
        resume.plan_remaining(tmp_path, resume.read_request(tmp_path), describe_environment())


@pytest.mark.parametrize("content", ["null", "[1]", '{"run": null}', '{"run": {}, "variables": 3}', "[" * 100_000])
def test_conditions_that_are_none_of_ours_are_as_good_as_none(tmp_path, content):
    (tmp_path / "environment.json").write_text(content)
    assert resume.read_start_conditions(tmp_path) == {}


@pytest.mark.parametrize(
    ("field", "value"),
    [("launches", "x"), ("tasks", 5), ("overrides", 5), ("backends", [1]), ("device", 7), ("until", "y"), ("suite", 7)],
)
def test_a_request_with_a_value_of_another_type_is_refused(tmp_path, field, value):
    resume.write_request(tmp_path, Request())
    path = tmp_path / resume.REQUEST_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    with pytest.raises(UserError, match=r"its request\.json is not valid"):
        resume.read_request(tmp_path)


def test_a_resumed_run_keeps_its_threads_whatever_surrounds_it(tmp_path, monkeypatch):
    request = Request(tasks=["embedded"], overrides={"weights": "random"}, results=tmp_path)
    (tmp_path / store.RECORDS).mkdir()
    write_environment(tmp_path, {**describe_environment(3), "run": {"threads": 3}}, ())
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    plan = resume.plan_remaining(tmp_path, request, describe_environment())
    assert (plan.default.threads, plan.threads_note) == (3, None)


@pytest.mark.parametrize(("text", "value"), [("2%", 0.02), ("0.5 %", 0.005), ("0.03", 0.03)])
def test_a_share_is_a_percentage(text, value):
    assert parse_share(text) == pytest.approx(value)


@pytest.mark.parametrize(("text", "value"), [("90s", 90), ("10m", 600), ("1.5h", 5400), ("7", 7)])
def test_a_time_has_a_unit(text, value):
    assert parse_seconds(text) == value


@pytest.mark.parametrize(
    "wrong",
    [lambda: parse_share("2x"), lambda: parse_share("0"), lambda: parse_share("200%"), lambda: parse_seconds("1d")],
)
def test_other_amounts_are_refused(wrong):
    with pytest.raises(UserError, match="is no"):
        wrong()


@pytest.mark.slow
def test_a_killed_run_is_resumed_and_no_finished_launch_is_measured_again(tmp_path, command_line, monkeypatch):
    results = tmp_path / "results"
    suite = suite_file(tmp_path, launches=2)
    options = ("--suite", suite, "--backend", "pytorch", "--backend", "keras")
    with Bench("run", *options, "--results", results, cwd=tmp_path) as bench:
        bench.until(lambda: "launch 2 of 2" in bench.events and len(bench.workers()) > 2)
        workers = bench.workers()
        bench.process.send_signal(signal.SIGKILL)
        bench.end(10)
        assert wait_until(lambda: not living(workers), 5), "workers end on their own"
    run = next(results.iterdir())
    before, _ = store.read_records(run)
    assert {record.launch for record in before} == {1}

    with monkeypatch.context() as patch:
        patch.setenv("OMP_WAIT_POLICY", "passive")
        refusal = command_line("run", "--resume", run.name, "--results", results)
    assert refusal.status == 2
    assert (
        "cannot be resumed, conditions have changed: variables.OMP_WAIT_POLICY was None and is passive" in refusal.err
    )

    with Bench("run", "--resume", run.name, "--results", results, cwd=tmp_path) as bench:
        assert bench.end() == 0, bench.stdout + bench.stderr
    after, problems = store.read_records(run)
    assert problems == []
    assert sorted((r.backend, r.launch) for r in after) == [(b, n) for b in ("keras", "pytorch") for n in (1, 2)]
    pipelines = {(r.case, r.launch): r.pipeline for r in after}
    assert all(pipelines[r.case, r.launch] == r.pipeline for r in before)
    assert all(len(case.fine_tunes) == 1 for case in group_by_task(after)[0].cases)
    assert all(record.proof.comparable for record in after)

    # From the records, every other file is restored unchanged.
    files = {p.name: p.read_text() for p in run.iterdir() if p.is_file() and p.name != "request.json"}
    assert set(files) == {"environment.json", "results.csv", "tables.md", "benchmark.json", "report.html"}
    for name in files:
        (run / name).unlink()
    assert command_line("show", run.name, "--results", results).status == 0
    assert {name: (run / name).read_text() for name in files} == files
    assert json.loads(files["environment.json"])["frameworks"]["pytorch/default"]["build"] == {"build": "NumPy"}


@pytest.mark.slow
def test_a_launch_whose_record_cannot_be_read_is_measured_again(tmp_path):
    results = tmp_path / "results"
    with Bench(
        "run", "--suite", suite_file(tmp_path), "--backend", "pytorch", "--results", results, cwd=tmp_path
    ) as bench:
        assert bench.end() == 0
    run = next(results.iterdir())
    (file,) = (run / store.RECORDS).iterdir()
    file.write_bytes(file.read_bytes()[:-9])
    with Bench("run", "--resume", run.name, "--results", results, cwd=tmp_path) as bench:
        assert bench.end() == 0, bench.stdout + bench.stderr
    assert f"{file.name} is left out: it is cut off or not JSON: this launch is measured again" in bench.stdout
    records, problems = store.read_records(run)
    assert (len(records), problems) == (1, [])


@pytest.mark.slow
def test_a_second_run_is_refused_or_waits(tmp_path, command_line):
    results = tmp_path / "results"
    command = ("run", "--suite", suite_file(tmp_path), "--backend", "pytorch", "--results", results)
    # The first run is stopped until the second one has found the lock.
    with Bench(*command, cwd=tmp_path) as first:
        first.until(lambda: results.is_dir() and first.workers())
        first.process.send_signal(signal.SIGSTOP)
        second = command_line(*command)
        assert second.status == 2
        assert "another measurement is under way" in second.err
        assert f"process {first.process.pid}" in second.err
        assert len(list(results.iterdir())) == 1
        with Bench(*command, "--wait", cwd=tmp_path) as third:
            third.until(lambda: "Waiting for another measurement" in third.stdout)
            first.process.send_signal(signal.SIGCONT)
            assert first.end() == 0
            assert third.end() == 0


@pytest.mark.slow
@pytest.mark.thorough
def test_launches_are_added_until_the_interval_is_narrow_or_the_time_has_passed(tmp_path):
    results = tmp_path / "results"
    suite = suite_file(tmp_path)
    command = ("run", "--suite", suite, "--backend", "pytorch", "--backend", "keras", "--results", results)
    with Bench(*command, "--until", "95%", "--strict", cwd=tmp_path) as bench:
        assert bench.end() == 1, "strict: there is a warning"
    assert re.search(r"^Strict: [a-z, -]+\.$", bench.stdout, re.M), "few-launches, or busy-machine"
    (run,) = results.iterdir()
    assert len({record.launch for record in store.read_records(run)[0]}) >= 2, "one launch has no interval"
    with Bench(*command, "--until", "0.001%", "--max-time", "1s", cwd=tmp_path) as bench:
        assert bench.end() == 0
    newest = max(results.iterdir(), key=os.path.getmtime)
    assert {record.launch for record in store.read_records(newest)[0]} == {1}


@pytest.mark.slow
@pytest.mark.parametrize(("options", "launches"), [((), MIN_LAUNCHES), (("--launches", 5), 5)])
def test_a_suites_time_limit_spares_the_first_launches_and_a_requested_number(tmp_path, options, launches):
    suite = suite_file(tmp_path, launches=9)
    suite.write_text(f"most_minutes = 0.001\n{suite.read_text()}")
    results = tmp_path / "results"
    with Bench("run", "--suite", suite, "--backend", "pytorch", "--results", results, *options, cwd=tmp_path) as bench:
        assert bench.end() == 0
    (run,) = results.iterdir()
    assert len(store.read_records(run)[0]) == launches


@pytest.mark.parametrize(("text", "state"), [(None, "is missing"), ("{}", "is not valid"), ("cut", "is not valid")])
def test_a_run_without_its_request_is_refused_in_one_line(tmp_path, text, state):
    if text is not None:
        (tmp_path / resume.REQUEST_FILE).write_text(text)
    with pytest.raises(UserError, match=f"its request.json {state}: start a new run"):
        resume.read_request(tmp_path)
