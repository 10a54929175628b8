"""A worker's death: its line names the cause, not what pytest or the system calls it, and has nothing private."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backends.task import Variant
from bench.measure import conductor
from bench.measure.worker_death import SHARED_MEMORY, choose_last_lines, describe_exit, explain_death
from bench.records.record import Failure
from bench.worker.job import TargetJob
from tests.bench.measure.test_conductor import Watcher

#: Tests of another project whose worker dies.
MODULE = "import no_such_module\n\ndef test_step(benchmark):\n    benchmark(list)\n"
SIGNAL = """
import os, signal, sys

def test_step(benchmark):
    print("\\x1b[31mcoloured\\x1b[0m ×", os.environ["HOME"] + "/file", flush=True)
    os.kill(os.getpid(), signal.SIGBUS)
"""

#: A test that the settings leave out, and one that pytest-benchmark refuses.
TWICE = """
def test_left_out(benchmark):
    benchmark(list)

def test_twice(benchmark):
    benchmark(list)
    benchmark(list)
"""

#: PyTorch's input pipeline, and an interpreter with shared memory of its own, which takes root's rights.
LOADER = """
import torch
from torch.utils.data import DataLoader

def test_step(benchmark):
    benchmark(lambda: list(DataLoader(torch.zeros(64, 1_000_000), batch_size=16, num_workers=1)))
"""
INTERPRETER = """#!/bin/sh
exec unshare --mount sh -c 'mount -t tmpfs -o size=8m none /dev/shm && exec "$0" "$@"' {python} "$@"
"""


def find_failure(folder: Path, target: str, python: Path | None = None) -> Failure:
    """The failure of the worker of a test in `folder`."""
    files = folder / f"files of {target.replace('/', ' ')}"
    files.mkdir()
    job = TargetJob(
        case=target,
        variant=Variant(threads=1),
        scratch=files,
        folder=files,
        rounds=2,
        descriptor=-1,
        root=folder,
        top=folder,
        start_folder=folder,
        source_folders=(folder,),
        repository=folder / "elsewhere",
        target=target,
        python=python,
    )
    (outcome,) = conductor.run_launch([job], 0.01, random.Random(), Watcher()).outcomes
    assert outcome.failure
    return outcome.failure


def test_real_workers_name_the_cause(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    (tmp_path / "module.py").write_text(MODULE)
    (tmp_path / "signals.py").write_text(SIGNAL)
    missing = find_failure(tmp_path, "module.py::test_step")
    assert missing.reason == (
        "ModuleNotFoundError: No module named 'no_such_module': install it into the environment of the worker, or "
        "leave out what needs it"
    )
    unknown = find_failure(tmp_path, "signals.py::test_stop")
    assert unknown.reason.startswith("not found: ")
    assert "signals.py::test_stop" in unknown.reason
    killed = find_failure(tmp_path, "signals.py::test_step")
    assert killed.reason == f"killed by SIGBUS: {SHARED_MEMORY}"
    assert "coloured × ~/file" in killed.last_lines
    for failure in (missing, unknown, killed):
        assert "\x1b" not in failure.model_dump_json()
        assert str(tmp_path) not in failure.model_dump_json()


def test_a_module_that_cannot_be_imported_is_named_with_its_line(tmp_path):
    (tmp_path / "ours").mkdir()
    (tmp_path / "ours/deep.py").write_text("\nraise RuntimeError('no driver\\nsecond line')\n")
    (tmp_path / "lazy.py").write_text("def test_step(benchmark):\n    import ours.deep\n")
    failure = find_failure(tmp_path, "lazy.py::test_step")
    assert failure.reason == "RuntimeError: no driver (…/deep.py, line 2)"
    assert failure.last_lines[-1] == "second line"
    assert not any("importlib" in line or "stopping" in line for line in failure.last_lines)


@pytest.mark.slow
def test_a_test_that_is_not_run_as_it_should_names_the_cause(tmp_path):
    (tmp_path / "whole.py").write_text("import pytest\n\npytest.importorskip('no_such_module')\n")
    (tmp_path / "single.py").write_text(TWICE)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --deselect single.py::test_left_out\n")
    reasons = [
        find_failure(tmp_path, target).reason
        for target in ("whole.py::test_step", "single.py::test_left_out", "single.py::test_twice")
    ]
    skipped, left_out, twice = reasons
    assert skipped.startswith("whole.py::test_step is skipped: could not import 'no_such_module'")
    assert left_out == "pytest's options and the project's conftest.py leave out single.py::test_left_out"
    assert "can use `benchmark` once, and this one used it before" in twice


@pytest.mark.slow
def test_an_input_pipeline_with_8_mb_of_shared_memory_names_it(tmp_path):
    pytest.importorskip("torch")
    interpreter = tmp_path / "python"
    interpreter.write_text(INTERPRETER.format(python=sys.executable))
    interpreter.chmod(0o755)
    if not shutil.which("unshare") or subprocess.run([interpreter, "-c", ""], capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    (tmp_path / "loader.py").write_text(LOADER)
    failure = find_failure(tmp_path, "loader.py::test_step", interpreter)
    assert failure.reason.endswith(f": {SHARED_MEMORY}")


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (-signal.SIGKILL, "killed by SIGKILL: by someone, or by the kernel because memory ran out"),
        (-signal.SIGILL, "killed by SIGILL: the CPU lacks an instruction that a package was compiled for: install a"),
        (-signal.SIGSEGV, "killed by SIGSEGV: compiled code of a framework or a driver is faulty: "),
        (-signal.SIGUSR2, "killed by SIGUSR2"),
        (-(signal.SIGRTMIN + 3), f"killed by signal {signal.SIGRTMIN + 3}"),
        (3, "ended with exit status 3"),
    ],
)
def test_every_end_has_words(status, line):
    assert describe_exit(status).startswith(line)


@pytest.mark.parametrize(
    ("status", "reason", "lines", "line"),
    [
        # The worker itself could not be imported.
        (1, None, ["  import x", "ImportError: libcudart.so.12: cannot open shared object file"], "ImportError: libc"),
        (4, None, ["ERROR: not found: a.py::b", "(no match in any of [<Module a.py>])", ""], "not found: a.py::b"),
        (
            4,
            None,
            [
                "ERROR: usage: pytest.main() [options] [file_or_dir] [file_or_dir] [...]",
                "pytest.main(): error: unrecognized arguments: -n --cov=x",
                "  inifile: /p/setup.cfg",
                "  rootdir: /p",
            ],
            "unrecognized arguments: -n --cov=x: install the plugin of pytest that has them into the",
        ),
        (
            4,
            None,
            ["pytest.main(): error: unrecognized arguments: --benchmark-json=/j/benchmark.json"],
            "unrecognized arguments: --benchmark-json=/j/benchmark.json: pytest-benchmark is not loaded: add -p ",
        ),
        (
            2,
            "CollectError: ImportError while importing",
            ["E   SyntaxError: bad", "!!! stopping !!!"],
            "SyntaxError: bad",
        ),
        (2, "CollectError: something else", ["no error here"], "CollectError: something else"),
        (1, None, [], "ended with exit status 1"),
        # An error in the output is not the cause of a later signal.
        (-signal.SIGABRT, None, ["ValueError: ignored"], "killed by SIGABRT: a library gave up, see its last lines"),
        (
            1,
            "RuntimeError: DataLoader worker (pid 7) is killed by signal: Bus error. It is",
            [],
            f"RuntimeError: DataLoader worker (pid 7) is killed by signal: Bus error. It is: {SHARED_MEMORY}",
        ),
        (1, "RuntimeError: DataLoader worker (pid(s) 7) exited unexpectedly", ["… Bus error …"], "RuntimeError: DataL"),
        (
            1,
            "RuntimeError: DataLoader worker (pid(s) 7) exited unexpectedly",
            ["RuntimeError: DataLoader worker (pid 7) is killed by signal: Bus error. It is possible"],
            f"RuntimeError: DataLoader worker (pid(s) 7) exited unexpectedly: {SHARED_MEMORY}",
        ),
        (
            1,
            "RuntimeError: Caught RuntimeError in DataLoader worker process 0.",
            ["RuntimeError: unable to allocate shared memory(shm) for file </torch_3>: No space left on device (28)"],
            "RuntimeError: unable to allocate shared memory(shm) for file </torch_3>: No space left on device (28): "
            f"{SHARED_MEMORY}",
        ),
        (1, "ValueError: planted", ["ModuleNotFoundError: No module named 'optional'"], "ValueError: planted"),
    ],
)
def test_a_death_is_explained_by_what_the_worker_left(status, reason, lines, line):
    assert explain_death(status, reason, lines).startswith(line)


def test_of_a_dumped_stack_the_start_is_kept():
    output = [*map(str, range(50)), "Fatal Python error: Bus error", "", *(f"frame {n}" for n in range(40))]
    kept = choose_last_lines(output)
    assert kept[:4] == ["47", "48", "49", "Fatal Python error: Bus error"]
    assert len(kept) == 12
    assert choose_last_lines(output[:5]) == output[:5]


def test_lines_that_say_nothing_about_the_cause_are_left_out():
    frames = ['  File "<frozen importlib._bootstrap>", line 1007, in _find_and_load'] * 20
    output = [
        "first",
        *frames,
        "RuntimeError: planted",
        "!!!!! stopping after 1 failures !!!!!",
        "1 failed in 0.11s",
        "",
    ]
    assert choose_last_lines(output) == ["first", "RuntimeError: planted"]
    assert choose_last_lines(["2 warnings, 1 error in 0.11s"]) == []
