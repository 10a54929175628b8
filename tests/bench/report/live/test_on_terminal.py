"""The whole command on a pseudo-terminal of 80 x 24, in a log, quiet, and as JSON lines."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest

from bench.report.live.json_events import SCHEMA
from tests.bench.processes import Bench, suite_file
from tests.bench.report.live.documented_events import read_documented_fields
from tests.bench.report.live.screen import BenchOnTerminal

HASH = re.compile(r"\b[0-9a-f]{12}\b")


COLOURS = re.compile(r"\x1b\[[\d;]*(?:3[0-7]|9[0-7]|38;)[\d;]*m")


def arguments(folder: Path, launches: int = 3, *backends: str) -> list[object]:
    chosen = [part for backend in backends for part in ("--backend", backend)]
    return ["run", "--suite", suite_file(folder, launches), *chosen, "--results", folder / "results"]


@pytest.mark.slow
@pytest.mark.thorough
def test_a_run_on_a_terminal_shows_a_table_that_fits_and_then_leaves(tmp_path):
    bench = BenchOnTerminal(*arguments(tmp_path), cwd=tmp_path, HEADTOHEAD_HOME=str(tmp_path / "home"))
    live = []
    for screen in bench.watch():
        if screen.cursor_hidden:
            assert screen.above == [], "the picture is higher than the terminal"
            live.append(screen.shown)
    assert bench.end() == 0
    assert not bench.screen.cursor_hidden
    tables = [shown for shown in live if any(line.startswith("so far:") for line in shown)]
    assert tables, "no table was shown while it measured"
    last = "\n".join(tables[-1])
    for name in ("pytorch/default", "tensorflow/default", "keras/default"):
        assert re.search(rf"^{name} +[\d,]+ ", last, re.M)
    assert not any(HASH.search(line) for shown in live for line in shown)
    assert not any("images/s" in line and "warm-up" in line for shown in live for line in shown)
    assert COLOURS.search(bench.text)


@pytest.mark.slow
def test_no_color_is_obeyed(tmp_path):
    home = str(tmp_path / "home")
    bench = BenchOnTerminal(*arguments(tmp_path, 1, "pytorch"), cwd=tmp_path, HEADTOHEAD_HOME=home, NO_COLOR="1")
    for _ in bench.watch():
        pass
    assert bench.end() == 0
    assert "pytorch/default" in bench.text
    assert not COLOURS.search(bench.text)


@pytest.mark.slow
def test_a_signal_gives_the_cursor_back(tmp_path):
    bench = BenchOnTerminal(*arguments(tmp_path, 30), cwd=tmp_path, HEADTOHEAD_HOME=str(tmp_path / "home"))
    sent = False
    for screen in bench.watch():
        if not sent and any(line.startswith("so far:") for line in screen.shown):
            os.kill(bench.pid, signal.SIGTERM)
            sent = True
    assert bench.end() == 130
    assert not bench.screen.cursor_hidden
    assert "Resume with:" in bench.text


@pytest.mark.slow
def test_in_a_log_there_is_a_line_for_each_launch(tmp_path):
    home = str(tmp_path / "home")
    with Bench(*arguments(tmp_path, 3, "pytorch", "tensorflow"), cwd=tmp_path, HEADTOHEAD_HOME=home) as bench:
        assert bench.end() == 0
    lines = bench.stdout.splitlines()
    launches = [line for line in lines if re.match(r"  launch \d of 3: tensorflow/default \d", line)]
    assert len(launches) == 3
    progress = lines[: lines.index(launches[-1]) + 1]
    assert len(progress) <= 10
    assert not any(HASH.search(line) for line in progress)
    assert "\x1b" not in bench.stdout


@pytest.mark.slow
def test_with_force_color_a_log_is_coloured_and_not_redrawn(tmp_path):
    home = str(tmp_path / "home")
    with Bench(*arguments(tmp_path, 1, "pytorch"), cwd=tmp_path, HEADTOHEAD_HOME=home, FORCE_COLOR="1") as bench:
        assert bench.end() == 0
    assert "\x1b[" in bench.stdout
    assert not re.search(r"\x1b\[\d*[AJK]|\x1b\[\?25", bench.stdout), "a file cannot be drawn again"


@pytest.mark.slow
def test_quiet_prints_the_verdict_and_the_path(tmp_path):
    home = str(tmp_path / "home")
    with Bench(*arguments(tmp_path, 1, "pytorch", "keras"), "--quiet", cwd=tmp_path, HEADTOHEAD_HOME=home) as bench:
        assert bench.end() == 0
    *verdict, path = bench.stdout.splitlines()
    (run,) = (tmp_path / "results").iterdir()
    assert path == f"Results: {run}"
    assert len(verdict) == 1
    assert verdict[0].startswith("At batch 4 ")
    assert bench.stderr == ""


@pytest.mark.slow
def test_json_has_one_object_a_line_with_the_documented_fields(tmp_path):
    home = str(tmp_path / "home")
    with Bench(*arguments(tmp_path, 2), "--json", cwd=tmp_path, HEADTOHEAD_HOME=home) as bench:
        assert bench.end() == 0
    events = [json.loads(line) for line in bench.stdout.splitlines()]
    assert {event["schema"] for event in events} == {SCHEMA}
    assert {event["command"] for event in events} == {"run"}
    names = [event["event"] for event in events if event["event"] != "warning"]
    assert names == ["started", *(["launch-started", "launch-finished"] * 2), "finished"]
    (run,) = (tmp_path / "results").iterdir()
    assert events[0]["path"] == events[-1]["path"] == str(run)
    last = [event for event in events if event["event"] == "launch-finished"][-1]
    (results,) = last["results"]
    assert [case["case"] for case in results["cases"]] == ["pytorch/default", "tensorflow/default", "keras/default"]
    assert results["cases"][1]["ratio"]["estimate"] > 0
    assert events[-1]["verdict"]["text"].startswith("At batch 4 ")
    documented = read_documented_fields("run")
    for event in events:
        assert event.keys() == documented[event["event"]], event["event"]


def test_quiet_and_json_exclude_each_other(command_line):
    ended = command_line("run", "--quiet", "--json")
    assert ended.status == 2
    assert ended.err == "bench: --quiet is for people and --json for programs: leave one of them out\n"


def test_a_mistake_is_an_event_too(command_line, tmp_path):
    ended = command_line("run", "--json", "--suite", "none-such", "--results", tmp_path / "results")
    assert ended.status == 2
    (line,) = ended.out.splitlines()
    event = json.loads(line)
    assert event["event"] == "error"
    assert event["message"] in ended.err
    assert event.keys() == read_documented_fields("run")["error"]
