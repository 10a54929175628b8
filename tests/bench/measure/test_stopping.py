"""Interrupted runs: Ctrl-C, a termination, a killed conductor or worker. No process is left, no record is lost."""

from __future__ import annotations

import html
import itertools
import os
import re
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.analysis.warnings import add_run_warnings
from bench.cache import features
from bench.measure import run as measured_run
from bench.measure import stop_signals
from bench.records import store
from bench.report.verdict import build_verdict
from tests.bench.processes import Bench, living, suite_file, wait_until

pytestmark = pytest.mark.slow


def list_records(results) -> list:
    return list(results.glob("*/records/*.json"))


#: What is written of a run, whatever ended it.
FILES = {"results.csv", "tables.md", "benchmark.json", "environment.json", "report.html"}


def check_end(bench: Bench, results: Path, finished: int) -> None:
    """Check that a stopped run ended with its verdict, its table, its report and the command that resumes it."""
    assert bench.stderr == ""
    (run,) = results.iterdir()
    found, problems = store.read_records(run)
    assert (len(found), problems) == (finished, [])
    assert {path.name for path in run.iterdir()} >= FILES, bench.stdout
    text, report = bench.stdout, (run / "report.html").read_text()
    verdict = build_verdict(add_run_warnings(found)).tasks[0].sentences[0]
    assert verdict in " ".join(text.split())
    assert verdict in html.unescape(report)
    table = text.index("\ncifar10-resnet18: batch 4, 32 px, digits, random weights\n")
    assert all(text.index(f"\n {name}/default ") > table for name in ("pytorch", "tensorflow", "keras"))
    assert text.index("All tables:") > table
    end = " ".join(text[text.index("All tables:") :].split())
    assert f"Stopped: {finished} finished launches are kept in {run}. Resume with: bench run --resume {run.name}" in end


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_in_a_launch_ends_with_what_is_finished(tmp_path, name):
    results = tmp_path / "results"
    suite = suite_file(tmp_path, launches=3)
    with Bench("run", "--suite", suite, "--results", results, cwd=tmp_path) as bench:
        bench.until(lambda: "launch 2 of 3" in bench.events and bench.workers())
        workers = bench.workers()
        for _ in range(2):  # terminals and service managers send several
            os.killpg(bench.process.pid, getattr(signal, name))
        assert bench.end(30) == 130
    assert workers
    assert wait_until(lambda: not living(workers), 5)
    check_end(bench, results, 3)
    found, _ = store.read_records(next(results.iterdir()))
    assert {record.launch for record in found} == {1}


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_between_two_launches_loses_nothing_of_the_first(tmp_path, name):
    results = tmp_path / "results"
    suite = suite_file(tmp_path, launches=3)
    with Bench("run", "--suite", suite, "--results", results, cwd=tmp_path) as bench:
        bench.until(lambda: list_records(results))  # the first of three records of a launch that is over
        bench.process.send_signal(getattr(signal, name))
        assert bench.end(30) == 130
    check_end(bench, results, 3)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_while_the_end_is_shown_cuts_nothing_off(tmp_path, name):
    results = tmp_path / "results"
    with Bench("run", "--suite", suite_file(tmp_path), "--results", results, cwd=tmp_path) as bench:
        bench.until(lambda: list(results.glob("*/results.csv")))  # the first file that is written at the end
        bench.process.send_signal(getattr(signal, name))
        assert bench.end(30) == 0
    assert bench.stderr == ""
    assert {path.name for path in next(results.iterdir()).iterdir()} >= FILES
    assert "All tables:" in bench.stdout
    assert "Stopped" not in bench.stdout


def test_a_termination_keeps_the_cases_of_a_launch_that_had_finished(tmp_path):
    results = tmp_path / "results"
    suite = suite_file(tmp_path, launches=1)
    backends = ("--backend", "pytorch", "--backend", "keras")
    command = ("run", "--suite", suite, *backends, "--results", results)
    with Bench(*command, cwd=tmp_path, PLANTED_KERAS="hang in fine-tune") as bench:
        bench.until(lambda: re.search(r"keras/default: fine-tune\n", bench.events))
        workers = bench.workers()
        bench.process.terminate()
        assert bench.end(30) == 130
    assert wait_until(lambda: not living(workers), 5)
    assert "Stopped: 1 finished launches are kept" in " ".join(bench.stdout.split())
    (kept,), problems = store.read_records(next(results.iterdir()))
    assert (kept.backend, kept.failure, problems) == ("pytorch", None, [])
    assert kept.proof.status == "reference"
    assert len(kept.pipeline.seconds) == 2, "its worker has saved its rounds"
    assert [tune.seed for tune in kept.fine_tunes] == [0]


def test_a_termination_before_any_launch_has_finished_says_so_and_keeps_what_was_extracted(tmp_path):
    results, suite = tmp_path / "results", suite_file(tmp_path)
    features.clear()
    command = ("run", "--suite", suite, "--knob", "features=cached", "--variant", "default", "--results", results)
    with Bench(*command, cwd=tmp_path) as bench:
        bench.until(lambda: re.search(r"/cached: first step", bench.events))
        workers = bench.workers()
        bench.process.terminate()
        assert bench.end(30) == 130
    assert wait_until(lambda: not living(workers), 5)
    assert "nothing had finished" in bench.stdout
    assert "Traceback" not in bench.stdout + bench.stderr
    assert list_records(results) == []
    assert features.list_entries(), "written before the first step"


def test_workers_end_when_their_conductor_is_killed(tmp_path):
    suite = suite_file(tmp_path, rounds=400)
    with Bench("run", "--suite", suite, "--results", tmp_path / "r", cwd=tmp_path) as bench:
        bench.until(lambda: bench.events.count("pipeline rounds") == 3)
        workers = bench.workers()
        assert len(workers) >= 6, "three workers, and the processes that represent their data loaders"
        bench.process.kill()
        bench.end(10)
        assert wait_until(lambda: not living(workers), 5)


def test_a_busy_worker_ends_with_its_conductor(tmp_path):
    suite = suite_file(tmp_path, rounds=4)
    command = ("run", "--suite", suite, "--backend", "pytorch", "--results", tmp_path / "r")
    with Bench(*command, cwd=tmp_path, PLANTED_PYTORCH="hang in round") as bench:
        bench.until(lambda: "pipeline rounds" in bench.events)
        time.sleep(1)  # by now it hangs, and reads no message
        workers = bench.workers()
        assert len(workers) >= 2
        bench.process.kill()
        bench.end(10)
        assert wait_until(lambda: not living(workers), 5)


def test_a_dead_worker_loses_only_its_own_figures(tmp_path):
    results = tmp_path / "results"
    suite = suite_file(tmp_path)
    planted = {"PLANTED_TENSORFLOW": "die in round"}
    with Bench("run", "--suite", suite, "--results", results, cwd=tmp_path, **planted) as bench:
        assert bench.end() == 1
    text = " ".join(bench.stdout.split())
    assert "tensorflow/default" in text
    assert "killed by SIGKILL: by someone, or by the kernel because memory ran out" in text
    assert "the last words" in text
    found, problems = store.read_records(next(results.iterdir()))
    assert problems == []
    by_backend = {record.backend: record for record in found}
    assert by_backend["tensorflow"].failure.last_lines[-1].endswith("the last words")
    assert by_backend["tensorflow"].pipeline is None
    for backend in ("pytorch", "keras"):
        assert by_backend[backend].failure is None
        assert len(by_backend[backend].pipeline.seconds) == 2
        assert by_backend[backend].fine_tunes


def test_no_further_launch_is_tried_when_every_worker_dies(tmp_path):
    results = tmp_path / "results"
    planted = {f"PLANTED_{name}": "raise in build" for name in ("PYTORCH", "TENSORFLOW", "KERAS")}
    suite = suite_file(tmp_path, launches=3)
    with Bench("run", "--suite", suite, "--results", results, cwd=tmp_path, **planted) as bench:
        assert bench.end() == 1
    assert len(list_records(results)) == 3
    assert "planted: raised in build" in bench.stdout
    assert "Traceback" not in bench.stderr


@pytest.fixture
def launches_without_workers(monkeypatch, tmp_path):
    """Starts a run whose launches measure nothing and do not end: only what stands around them is left."""
    measured = measured_run.MeasuredLaunch([((), None)], False)
    record = SimpleNamespace(failure=None)
    monkeypatch.setattr(measured_run, "_run_launch", lambda *_: measured)
    monkeypatch.setattr(measured_run, "_plan_next_launch", lambda *_: measured_run.NextLaunch(1, ()))
    monkeypatch.setattr(measured_run.record_builder, "build_record", lambda *_, **__: record)
    plan = SimpleNamespace(tasks=(None,), done=(), suite=SimpleNamespace(name=""))
    return lambda: measured_run.measure_launches(plan, tmp_path, {}, None, keep=lambda _: None)


@pytest.fixture
def interrupting_signals():
    """Signals that interrupt, also where the tests run in the background, which ignores some of them."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in stop_signals.NUMBERS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_no_signal_comes_between_a_launch_and_whoever_shows_it(launches_without_workers, interrupting_signals):
    shown = []

    def show() -> None:
        for launch in itertools.islice(launches_without_workers(), 3):
            signal.raise_signal(signal.SIGINT)
            shown.append(len(launch))

    with pytest.raises(KeyboardInterrupt):
        show()
    assert shown == [1]


@pytest.mark.parametrize("number", stop_signals.NUMBERS)
def test_no_signal_is_lost_whichever_instruction_it_comes_at(launches_without_workers, interrupting_signals, number):
    code = {measured_run.__file__, stop_signals.__file__}
    left = 0

    def raise_at_instruction(frame, event, _):
        nonlocal left
        if frame.f_code.co_filename not in code:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == 0:
                signal.raise_signal(number)
        return raise_at_instruction

    def measure(instruction: int) -> bool:
        """Measure launches with a signal at an instruction of the first two; returns whether they have so many."""
        nonlocal left
        left = instruction
        launches = launches_without_workers()
        sys.settrace(raise_at_instruction)
        try:
            next(launches)
            next(launches)
            sys.settrace(None)
            if left > 0:
                return False
            next(launches)  # the second one was completed, and shown
        except KeyboardInterrupt:
            return True
        finally:
            sys.settrace(None)
            launches.close()
        pytest.fail(f"lost: a signal at instruction {instruction}")

    instructions = next(count for count in range(10_000) if not measure(count + 1))
    assert instructions > 100


def test_an_interrupt_that_a_destructor_swallowed_comes_again(monkeypatch, interrupting_signals):
    monkeypatch.setattr(sys, "unraisablehook", lambda _: None)

    class Swallowing:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    with stop_signals.StopSignals() as signals:
        signals.check()
        Swallowing()
        with pytest.raises(KeyboardInterrupt):
            signals.check()
