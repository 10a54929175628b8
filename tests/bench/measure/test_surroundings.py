"""Runs in hostile surroundings: unusual paths, encodings and colours, a terminal that ends, a folder that goes."""

from __future__ import annotations

import getpass
import json
import os
import platform
import shlex
import shutil
import signal

import pytest

from bench.cli import entry_point
from bench.records import store
from tests.bench.processes import Bench, living, suite_file, wait_until

pytestmark = pytest.mark.slow


def test_a_run_among_unusual_paths_keeps_its_figures_and_publishes_nothing_private(tmp_path):
    """The home has a name with a blank, other paths are not UTF-8, and the output takes neither × nor colours."""
    home, work = tmp_path / "jane doe", tmp_path / os.fsdecode(b"caf\xe9")
    for folder in (home, work):
        folder.mkdir()
    (home / "own suite").mkdir()
    suite = suite_file(home / "own suite")
    planted = {
        "HOME": str(home),
        "XLA_FLAGS": f"--xla_dump_to={home / 'dump'}",
        "PYTHONIOENCODING": "ascii",
        "FORCE_COLOR": "1",
        "PLANTED_KERAS": "raise in build",
    }
    results = os.fsdecode(b"r\xe9sultats")
    command = ("run", "--suite", suite, "--backend", "pytorch", "--backend", "keras", "--results", results)
    with Bench(*command, cwd=work, **planted) as bench:
        assert bench.end() == 1, bench.stdout + bench.stderr
    assert "Traceback" not in bench.stderr
    assert "\x1b[2K" not in bench.stdout, "nothing is redrawn in a file"
    (run,) = (work / results).iterdir()
    records, problems = store.read_records(run)
    assert problems == []
    by_backend = {record.backend: record for record in records}
    assert by_backend["pytorch"].pipeline
    assert by_backend["keras"].failure.reason == "ValueError: planted: raised in build"
    assert any('File "tests/bench/arithmetic/' in line for line in by_backend["keras"].failure.last_lines)
    about = by_backend["pytorch"].about
    assert about["variables"]["XLA_FLAGS"] == "--xla_dump_to=…/dump"
    assert about["run"]["command"] == (
        "run --suite '…/small.toml' --backend pytorch --backend keras --results 'r?sultats'"
    )
    names = [str(tmp_path), "jane", f'"{platform.node()}"', f'"{getpass.getuser()}"', "\x1b", "\\u001b"]
    files = [path for path in run.rglob("*") if path.is_file()]
    assert {path.name for path in files} > {
        "environment.json",
        "tables.md",
        "results.csv",
        "benchmark.json",
        "report.html",
    }
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert [name for name in names if name in text] == [], path.name
    assert json.loads((run / "benchmark.json").read_text())["machine_info"]["node"] == ""
    assert json.loads((run / "request.json").read_text())["suite"] == "~/own suite/small.toml"


def test_the_end_of_a_terminal_keeps_what_is_finished_and_the_hint_resumes_it(tmp_path, command_line):
    results = tmp_path / "my results"
    suite = suite_file(tmp_path, launches=4)
    command = ("run", "--suite", suite, "--backend", "pytorch", "--results", results)
    with Bench(*command, cwd=tmp_path, COLUMNS="60") as bench:
        bench.until(lambda: "launch 2 of 4" in bench.events and bench.workers())
        workers = bench.workers()
        for _ in range(2):  # from the kernel, and from the shell
            bench.process.send_signal(signal.SIGHUP)
        assert bench.end(30) == 130, bench.stderr
    assert wait_until(lambda: not living(workers), 5)
    assert bench.stderr == ""
    (run,) = results.iterdir()
    finished = len(store.read_records(run)[0])
    assert 1 <= finished < 4
    assert {"tables.md", "results.csv"} <= {path.name for path in run.iterdir()}
    lines = bench.stdout.splitlines()
    assert "At batch 4 PyTorch trains " in " ".join(lines)
    hint = lines[lines.index(f"Stopped: {finished} finished launches are kept in {run}. Resume with:") + 1]
    assert shlex.split(hint) == ["bench", "run", "--resume", run.name, "--results", str(results)]
    with pytest.raises(pytest.fail.Exception, match="something was measured"):
        command_line(*shlex.split(hint)[1:])


def test_results_that_are_removed_meanwhile_are_shown_all_the_same(tmp_path):
    results = tmp_path / "results"
    command = ("run", "--suite", suite_file(tmp_path, launches=3), "--backend", "pytorch", "--results", results)
    with Bench(*command, cwd=tmp_path) as bench:
        bench.until(lambda: "launch 2 of 3" in bench.events)
        (run,) = results.iterdir()
        shutil.rmtree(run)
        assert bench.end() == 2
    (line,) = bench.stderr.splitlines()
    assert line.startswith(f"bench: cannot write {run / 'records'}")
    assert "launch 3" not in bench.stdout
    assert "At batch 4 PyTorch trains " in bench.stdout
    text = " ".join(bench.stdout.split())
    assert "warning: cannot write" in text
    assert "Stopped: 2 finished launches are kept" in text


def test_a_command_under_nohup_ignores_the_end_of_its_terminal():
    before = {number: signal.getsignal(number) for number in entry_point.STOPPING_SIGNALS}
    try:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        entry_point._handle_signals()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        entry_point._handle_signals()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
