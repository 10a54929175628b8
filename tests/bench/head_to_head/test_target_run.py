"""`bench run --target`: tests of a project are compared, with real processes."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest

from bench.head_to_head import stored_targets
from bench.head_to_head.target_standings import find_standings
from bench.measure import conductor
from bench.measure.conductor import run_launch
from tests.bench.processes import PROJECT, Bench, arithmetic, living

FILE = "tests/test_steps.py"
EXAMPLE = PROJECT / "tests/bench/gate/example_project" / FILE
SUITE = """
description = "Short rounds"
launches = 4
rounds = 4
round_seconds = 0.03
entries = [{ task = "embedded" }]
"""
#: Steps that sleep, so that other programs do not change how they compare. The project has a package called as ours.
FILES = {
    "backends/__init__.py": "",
    "backends/steps.py": """
import time
import numpy as np

VALUES = np.linspace(-1, 1, 12).reshape(3, 4)

def step(seconds, factor=1.0):
    time.sleep(seconds)
    return {"loss": 0.5 * factor, "logits": [VALUES.astype(np.float32) * factor]}
""",
    FILE: """
import time
import numpy as np
from backends.steps import VALUES, step

class Counter:
    calls = 0

    def step(self, seconds):
        time.sleep(seconds)
        self.calls += 1
        return {"loss": 0.5 * self.calls, "logits": (VALUES,)}

def test_torch(benchmark):
    benchmark(step, 0.0026)

def test_jax(benchmark):
    # As in training, each call returns something else: the first ones are compared.
    benchmark(Counter().step, 0.002)

def test_close(benchmark):
    benchmark(step, 0.001, 1 + 1e-6)

def test_other(benchmark):
    benchmark(step, 0.001, 1.02)

def test_silent(benchmark):
    benchmark(time.sleep, 0.001)

def test_model(benchmark):
    benchmark(lambda: {"model": object()})

def test_plain():
    pass

def test_wrong(benchmark):
    assert benchmark(step, 0.001)["loss"] < 0, "the loss is\\nwrong"

def test_hangs(benchmark):
    time.sleep(600)
""",
}


@pytest.fixture
def project(tmp_path) -> Path:
    for name, text in FILES.items():
        (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "project" / name).write_text(text)
    (tmp_path / "small.toml").write_text(SUITE)
    return tmp_path / "project"


def name_all(*tests: str) -> list[str]:
    return [word for test in tests for word in ("--target", f"{FILE}::{test}")]


@pytest.fixture
def compare(project, command_line, monkeypatch):
    """Compares tests of the project, with the conductor in this process; only the workers have their own."""
    monkeypatch.setattr(conductor, "run_launch", run_launch)
    monkeypatch.setenv("PYTHONPATH", arithmetic({})["PYTHONPATH"])
    monkeypatch.setenv("SHORT_WARMUP", "yes")
    monkeypatch.chdir(project)

    def run(*arguments: object):
        return command_line("run", "--suite", project.parent / "small.toml", "--threads", 1, *arguments)

    return run


def list_files(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }


@pytest.mark.slow
def test_a_difference_of_30_per_cent_is_found_and_kept_in_files(project, compare):
    ended = compare(*name_all("test_torch", "test_jax"), "--full")
    assert ended.status == 0, ended.err
    assert "test_jax is 1." in ended.out
    assert "times as fast as test_torch." in ended.out
    assert "that these do the same is your word" in ended.out
    assert "Every launch" in ended.out
    (folder,) = (project / "results").iterdir()
    assert list_files(project) == {
        *FILES,
        *(
            f"results/{folder.name}/{name}"
            for name in (".gitignore", "environment.json", "report.html", "results.csv", "tables.md")
        ),
        f"results/{folder.name}/targets/comparison.json",
    }
    result = stored_targets.read(folder)
    assert (result.names, len(result.launches)) == ((f"{FILE}::test_torch", f"{FILE}::test_jax"), 4)
    standings = find_standings(result)
    assert standings.winner == 1
    assert 1.15 < standings.ratios[1].estimate < 1.45
    assert 0.002 < standings.seconds[1].estimate < 0.0026
    figures = result.launches[0].figures[0]
    assert {len(figures.values[name]) for name in ("first-step", "host-memory")} == {1}


@pytest.mark.slow
def test_a_result_is_shown_listed_and_no_run(project, compare, command_line, monkeypatch):
    ended = compare(*name_all("test_torch", "test_close"), "--launches", 1, "--rounds", 2, "--quiet")
    assert ended.status == 0, ended.err
    assert ended.out.startswith("There are not enough launches to tell which is faster")
    (folder,) = (project / "results").iterdir()
    (folder / "report.html").unlink()
    shown = command_line("show")
    assert shown.status == 0
    assert "Time per call of your tests" in shown.out
    assert (folder / "report.html").is_file()
    monkeypatch.setenv("COLUMNS", "160")
    assert re.search(r"test_torch, test_close +1 +run --target: too few launches", command_line("list", "runs").out)
    refused = command_line("compare", folder.name, folder.name)
    assert "is the result of bench run --target: choose a run" in refused.err


@pytest.mark.slow
def test_outputs_that_are_the_same_are_measured_and_events_say_so(compare):
    options = ("--same-output", "--launches", 1, "--rounds", 2, "--json")
    ended = compare(*name_all("test_torch", "test_jax", "test_close"), *options)
    assert ended.status == 0, ended.err
    events = [json.loads(line) for line in ended.out.splitlines()]
    names = [event["event"] for event in events if event["event"] != "warning"]
    assert names == ["started", "launch-finished", "finished"]
    verdict = events[-1]["verdict"]
    assert verdict["sameness"] == (
        "their first calls return the same (a relative difference of at most 1e-06, of ['loss']; tolerance 0.0001); "
        "that they do the same otherwise is your word"
    )
    assert verdict["outcome"] == "too few launches"
    assert verdict["targets"][0]["ratio"] is None
    assert verdict["targets"][2]["ratio"]["estimate"] > 1
    assert Path(events[-1]["path"]).is_dir()


@pytest.mark.slow
@pytest.mark.parametrize(("options", "tolerance"), [((), "0.0001"), (("--same-output-tolerance", 0.01), "0.01")])
def test_outputs_that_differ_are_named_and_there_is_no_verdict_on_speed(project, compare, options, tolerance):
    ended = compare(*name_all("test_torch", "test_other"), "--same-output", *options)
    assert ended.status == 1
    text = " ".join(ended.out.split())
    assert "test_other returns something else than test_torch: ['loss']: 0.51 in place of 0.5" in text
    assert f"a relative difference of 0.02, and in 1 more place (tolerance {tolerance})" in text
    assert "times as fast" not in text
    assert "launch 1" not in ended.err
    (folder,) = (project / "results").iterdir()
    assert stored_targets.read(folder).launches == ()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("test", "options", "message"),
    [
        ("test_plain", (), f"{FILE}::test_plain times nothing: call pytest-benchmark's `benchmark` in it"),
        ("test_plain", ("--same-output",), f"{FILE}::test_plain times nothing"),
        ("test_wrong", (), f"the worker of {FILE}::test_wrong died in step rounds: AssertionError: the loss is"),
        ("test_gone", (), "not found: …/test_steps.py::test_gone"),
        ("test_silent", ("--same-output",), f"--same-output: {FILE}::test_silent returns nothing that could be"),
        ("test_model", ("--same-output",), f"{FILE}::test_model returns a builtins.object at ['model'], which cannot"),
        ("test_close", ("--", "-p", "no:benchmark"), "is not loaded: add -p pytest_benchmark.plugin after --"),
    ],
)
def test_a_test_that_cannot_be_compared_is_one_line(project, compare, test, options, message):
    ended = compare("--quiet", *name_all("test_torch", test), *options)
    assert (ended.status, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert line.startswith("bench: ")
    assert message in line
    assert not (project / "results").exists()


def test_a_results_folder_that_cannot_be_written_is_found_at_once(project, command_line, monkeypatch):
    monkeypatch.chdir(project)
    (project / "file").write_text("")
    ended = command_line("run", *name_all("test_torch", "test_jax"), "--results", "file/results")
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert ended.err.startswith("bench: cannot write file/results: Not a directory: choose a folder")


def test_rounds_last_equally_long_whatever_a_call_takes(project, command_line, monkeypatch):
    started = []

    def stop(jobs, *_, **__):
        started.extend(jobs)
        raise KeyboardInterrupt

    monkeypatch.setattr(conductor, "run_launch", stop)
    monkeypatch.chdir(project)
    assert command_line("run", *name_all("test_torch", "test_jax")).status == 130
    assert [job.step_group for job in started] == ["test_torch", "test_jax"], "jobs of a group make equally many calls"


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_behind(project):
    scratch = project.parent / "scratch"
    scratch.mkdir()
    with Bench("run", *name_all("test_torch", "test_hangs"), cwd=project, TMPDIR=str(scratch)) as bench:
        bench.until(lambda: len(bench.workers()) == 2)
        workers = bench.workers()
        os.kill(bench.process.pid, signal.SIGINT)
        assert bench.end() == 130
    assert "Stopped: nothing had finished." in bench.stderr
    assert living(workers) == []
    assert list(scratch.iterdir()) == []
    assert list_files(project) == set(FILES)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("--target a.py::b", "--target a.py::b: a.py is no file here: give the path of a test"),
        (f"--target {FILE}::a", f"--target {FILE}::a is one test: give another one to compare it with, or compare"),
        (
            f"--target {FILE}::a --target {FILE}::b --backend keras --task embedded --relative-to keras",
            "--target measures tests in place of tasks: leave out --task, --backend, --relative-to",
        ),
        (f"--target {FILE}::a --resume x", "--target measures tests in place of tasks: leave out --resume"),
        (f"--target {FILE}::a --target {FILE}::b --max-time 1m", "--max-time limits the launches that bench run"),
        (f"--target {FILE}::a --same-output-tolerance 1", "--same-output-tolerance goes with --same-output: give both"),
        ("--same-output", "--same-output goes with --target"),
        ("stray", "unexpected argument 'stray': leave it out, or see bench run --help"),
        ("-- -p x", "unexpected argument '-p': leave it out, or see bench run --help"),
    ],
)
def test_a_mistake_in_the_options_is_one_line(project, command_line, monkeypatch, arguments, line):
    monkeypatch.chdir(project)
    ended = command_line("run", *arguments.split())
    assert (ended.status, ended.out, ended.err.count("\n")) == (2, "", 1), ended
    assert ended.err.startswith(f"bench: {line}")


def test_the_documentation_shows_the_example():
    code = EXAMPLE.read_text(encoding="utf-8").partition('"""\n')[2].strip()
    assert f"```python\n{code}\n```" in (PROJECT / "docs/compare-your-steps.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.thorough
def test_real_frameworks_are_compared(tmp_path):
    """The same step in PyTorch and JAX, with gradients and devices of their own."""
    for package in ("torch", "jax"):
        pytest.importorskip(package)
    (tmp_path / "test_steps.py").write_text(EXAMPLE.read_text(encoding="utf-8"))
    (tmp_path / "small.toml").write_text(SUITE)
    tests = ("--target", "test_steps.py::test_torch", "--target", "test_steps.py::test_jax")
    arguments = ("--same-output", "--suite", "small.toml", "--launches", 1, "--rounds", 2)
    with Bench("run", *tests, *arguments, cwd=tmp_path, SHORT_WARMUP="yes") as bench:
        assert bench.end() == 0, bench.stdout + bench.stderr
    assert "their first calls return the same (a relative difference of at most" in " ".join(bench.stdout.split())
