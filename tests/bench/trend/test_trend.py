"""Trends: false alarms and detections by simulation, and what is shown of runs, machines and commits."""

from __future__ import annotations

import math
import re
import shutil

import numpy as np
import pytest

from bench.analysis import series
from bench.errors import UserError
from bench.plan import suite
from bench.records import baseline
from bench.records.baseline import Baseline, BaselineCase, BaselineLaunch
from bench.trend import trend_tables as command
from tests.bench.gate.repository import git
from tests.bench.processes import PROJECT

SERIES = 120


def make_baselines(values, machine: str = "CPU A", start: int = 0) -> list[Baseline]:
    """A baseline for each value, in seconds a step, each of a commit of its own."""
    return [
        Baseline(
            name="main",
            run=f"run{number}",
            measured=f"2026-01-{number + 1:02}T00:00:00+00:00",
            branch="main",
            revision=f"{number:040x}"[::-1],
            dirty=False,
            suite=suite.load("quick").model_dump(mode="json"),
            request={},
            fingerprint={
                "machine": {"CPU": machine, "usable cores": 2, "memory, GiB": 8},
                "versions": {},
                "variables": {},
            },
            cases=(
                BaselineCase(
                    case="pytorch/default cifar10-resnet18",
                    backend="pytorch",
                    task="cifar10-resnet18",
                    task_hash="0" * 12,
                    dataset="d",
                    checkpoint="c",
                    threads=2,
                    precision="fp32",
                    launches=tuple(BaselineLaunch(values={"pipeline": value * f}, right={}) for f in (0.99, 1.0, 1.01)),
                ),
            ),
        )
        for number, value in enumerate(values, start=start)
    ]


def noisy_values(n: int, seed: int, change: float = 0.0, sigma: float = 0.02):
    draw = np.random.default_rng(seed)
    level = np.where(np.arange(n) < n // 2, 0.0, math.log1p(change))
    return np.exp(level + sigma * draw.standard_normal(n)).tolist()


@pytest.mark.slow
@pytest.mark.parametrize("n", [8, 24, 40])
def test_without_a_change_at_most_one_series_in_twenty_shows_one(n):
    alarms = sum(bool(series.find_change_points(noisy_values(n, seed))) for seed in range(SERIES))
    assert alarms / SERIES <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / SERIES)


@pytest.mark.slow
@pytest.mark.parametrize(("n", "change", "found"), [(24, 0.10, 0.95), (48, 0.05, 0.9)])
def test_a_change_is_found_near_its_place(n, change, found):
    hits = 0
    for seed in range(SERIES):
        cuts = series.find_change_points(noisy_values(n, seed, change))
        hits += any(abs(cut - n // 2) <= 2 for cut in cuts)
    assert hits / SERIES >= found


def test_a_change_names_its_commits_and_its_size():
    (one,) = series.build_series(make_baselines([0.010] * 6 + [0.012] * 6))
    (change,) = series.find_changes(one)
    assert change.ratio == pytest.approx(1.2)
    assert (change.before.run, change.after.run) == ("run5", "run6")
    assert change.commits == f"{f'{5:040x}'[::-1][:7]}..{f'{6:040x}'[::-1][:7]}"


def test_each_machine_has_its_own_series_and_a_line_says_so():
    runs = [*make_baselines([0.010] * 6), *make_baselines([0.005] * 6, machine="CPU B", start=6)]
    found = series.build_series(runs)
    assert [len(one.points) for one in found] == [6, 6]
    assert not any(series.find_changes(one) for one in found)
    (line,) = series.describe_machine_changes(found)
    assert "measured on 2 machines, each its own series" in line
    assert "CPU A, 2 cores" in line
    assert "CPU B, 2 cores" in line


def test_a_short_or_constant_series_has_no_change():
    assert series.find_change_points([1.0, 2.0, 1.0, 2.0, 1.0]) == []
    assert series.find_change_points([1.0] * 12) == []
    with pytest.raises(ValueError, match="above 0"):
        series.find_change_points([1.0] * 6 + [0.0])


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ruptures", None)
    with pytest.raises(UserError, match="pip install ruptures"):
        series.find_change_points([1.0] * 12)


def test_the_command_shows_a_baselines_git_history(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    results = tmp_path / "results"
    git(tmp_path, "init", "--quiet")
    for one in make_baselines([0.010] * 6 + [0.012] * 6):
        baseline.write(results, one)
        git(tmp_path, "add", "--all")
        git(tmp_path, "commit", "--quiet", "--message", one.run)
    command.show_trends([], ["pipeline"], "main", results)
    shown = capsys.readouterr().out
    assert "pytorch/default cifar10-resnet18, pipeline: 20.0% slower since 2026-01-07 (commits " in shown
    assert "bench compare" not in shown, "the runs are elsewhere"
    by_run = [line.split() for line in shown.splitlines() if re.match(r"run\d", line)]
    rows = {words[0]: words[-1] for words in by_run}
    assert rows == {f"run{n}": "–" if n == 0 else "+20.0%" if n == 6 else "+0.0%" for n in range(12)}
    (row,) = (line.split() for line in shown.splitlines() if line.startswith("pytorch/default  "))
    assert row == ["pytorch/default", "pipeline", "12", "▁▁▁▁▁▁│██████", "12.00", "ms", "+20.0%"]
    for name in ("run5", "run6"):
        (results / name).mkdir()
    command.show_trends([], ["pipeline"], "main", results)
    assert "    side by side: bench compare run5 run6\n" in capsys.readouterr().out
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{tmp_path}", "shallow")
    command.show_trends([], ["pipeline"], "main", tmp_path / "shallow/results")
    shown = capsys.readouterr().out
    assert "This clone is shallow, and older commits are left out: git fetch --unshallow" in shown
    assert "1 run; finding a change needs" in shown
    (tmp_path / ".git").rename(tmp_path / "hidden")
    with pytest.raises(UserError, match="baselines is in no git repository: use a clone"):
        command.show_trends([], ["pipeline"], "main", results)


def test_the_command_shows_the_published_runs_and_says_what_there_is(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    reference = PROJECT / "results/reference"
    command.show_trends(["keras"], ["host-memory"], None, reference)
    shown = capsys.readouterr().out
    assert "cifar10-lite0 (25ccacf264fc), on AMD EPYC, 2 cores, 24 GiB" in shown
    assert "keras/default cifar10-lite0, host-memory, MB:" in shown
    assert "20261126T164841Z-quick" in shown
    assert f"1 run; finding a change needs {series.FEWEST_POINTS} or more" in shown
    with pytest.raises(UserError, match="no run has this case and metric: the cases are "):
        command.show_trends(["jax"], [], None, reference)
    with pytest.raises(UserError, match="did you mean 'compute'"):
        command.show_trends([], ["compete"], None, reference)


def test_without_a_choice_a_series_is_one_row_and_fits_80_columns(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    shutil.copytree(PROJECT / "results/reference", tmp_path / "results")
    command.show_trends([], [], None, tmp_path / "results")
    lines = capsys.readouterr().out.splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert sum(line.startswith(("pytorch/default ", "keras/default ", "tensorflow/default ")) for line in lines) == 12
    assert not any("20261126T164841Z-quick" in line for line in lines)


def test_a_run_that_cannot_be_read_is_a_line_and_the_others_are_shown(tmp_path, capsys):
    shutil.copytree(PROJECT / "results/reference", tmp_path / "results")
    broken = tmp_path / "results/20261127T000000Z-quick/records"
    broken.mkdir(parents=True)
    (broken / "x.json").write_text('{"sha256": "0", "record": {"a"')
    command.show_trends([], [], None, tmp_path / "results")
    shown = capsys.readouterr().out
    assert "run 20261127T000000Z-quick has no finished launch" in shown
    assert "cifar10-lite0 (" in shown


def test_an_empty_folder_of_results_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"there is no run in .* yet: run the benchmark first"):
        command.show_trends([], [], None, tmp_path)
