"""Baselines: saved from a real run, shown, compared with by real processes, and refused if they do not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import backends
from bench.cli import baseline as command
from bench.errors import UserError
from bench.records import baseline
from bench.records.checksummed_json import compute_checksum
from tests.bench.processes import Bench, suite_file

COARSE = (
    "--margin",
    "60%",
    "--margin",
    "first-step=99%",
    "--margin",
    "host-memory=30%",
    "--max-time",
    "1s",
    "--undecided",
    "pass",
)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder with a run of six launches, which is saved as the baseline `main`."""
    folder = tmp_path_factory.mktemp("measured")
    suite = suite_file(folder, launches=6, rounds=4)
    with Bench("run", "--suite", suite, "--backend", "pytorch", cwd=folder) as bench:
        assert bench.end() == 0, bench.stderr
    with Bench("baseline", "save", "main", cwd=folder) as bench:
        assert bench.end(60) == 0, bench.stderr
    return folder


@pytest.fixture
def folder(measured, tmp_path):
    """A copy of `measured`, to change."""
    shutil.copytree(measured, tmp_path / "own")
    return tmp_path / "own"


def gate(folder: Path, *arguments: object, **planted: str) -> Bench:
    return Bench("gate", "--baseline", "main", *COARSE, *arguments, cwd=folder, **planted)


@pytest.fixture
def error_of(command_line, arithmetic_here, monkeypatch):
    """Runs a gate that has to be refused, in this process; returns the line of the error."""

    def run(folder: Path, *arguments: object) -> str:
        monkeypatch.chdir(folder)
        status, out, err = command_line("gate", "--baseline", "main", *COARSE, *arguments)
        assert (status, out) == (2, "")
        assert err.count("\n") == 1, err
        return err

    return run


def change_baseline(folder: Path, change, seal: bool = True) -> None:
    """Change the content of the baseline's file."""
    path = folder / "results/baselines/main.json"
    envelope = json.loads(path.read_text())
    change(envelope["baseline"])
    if seal:
        envelope["sha256"] = compute_checksum(envelope["baseline"])
    path.write_text(json.dumps(envelope))


@pytest.mark.slow
@pytest.mark.thorough
def test_the_same_code_passes_with_a_note_on_what_no_interval_contains(folder):
    """The baseline has another version of a library, which is accepted."""
    change_baseline(folder, lambda b: b["fingerprint"]["versions"].update(numpy="1.0"))
    with gate(folder, "--json", folder / "gate.json", "--allow", "versions") as bench:
        assert bench.end() == 0, bench.stdout + bench.stderr
    assert "Accepted (versions): numpy was 1.0 and is" in bench.stdout
    assert "6 launches" in bench.stdout or "launches, " in bench.stdout
    assert "no interval contains that" in bench.stdout
    report = json.loads((folder / "gate.json").read_text())
    assert report["baseline"] == "main"
    assert report["cases"][0]["paired"] is False
    runs = sorted(path.name for path in (folder / "results").iterdir() if path.name != "baselines")
    assert len(runs) == 2, "the gate's launches are kept as a run"


@pytest.mark.slow
def test_a_slower_step_is_found(folder):
    with gate(folder, PLANTED_PYTORCH="sleep 3") as bench:
        assert bench.end() == 1, bench.stdout + bench.stderr
    assert "% slower (99 % interval" in bench.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message", "allowed"),
    [
        (lambda b: b["fingerprint"]["machine"].update(CPU="Z80"), "CPU was Z80 and is", "machine"),
        (lambda b: b["fingerprint"]["versions"].update(numpy="1.0"), "numpy was 1.0 and is", "versions"),
        (lambda b: b["fingerprint"]["variables"].update(OMP_WAIT_POLICY="active"), "OMP_WAIT_POLICY", "variables"),
        (lambda b: b["cases"][0].update(threads=99), "threads was 99 and is", "threads"),
    ],
)
def test_another_machine_is_refused_unless_it_is_allowed(folder, error_of, change, message, allowed):
    change_baseline(folder, change)
    line = error_of(folder)
    assert message in line
    assert f"--allow {allowed}" in line


def test_another_experiment_is_always_refused(folder, error_of):
    change_baseline(folder, lambda b: b["cases"][0].update(task_hash="0" * 12))
    line = error_of(folder, "--allow", "machine")
    assert "task_hash was 000000000000 and is" in line
    assert "--allow" not in line


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda f: change_baseline(f, lambda b: b["cases"][0]["launches"].pop(), seal=False),
            "its checksum does not fit",
        ),
        (lambda f: change_baseline(f, lambda b: b.update(schema_version=99)), "its schema 99 is newer"),
        (lambda f: change_baseline(f, lambda b: b.pop("cases")), "does not fit the schema: cases"),
        (lambda f: (f / "results/baselines/main.json").write_text('{"sha256": "'), "cut off or not JSON"),
        (
            lambda f: (f / "results/baselines/main.json").rename(f / "results/baselines/mean.json"),
            "did you mean 'mean'",
        ),
    ],
)
def test_a_file_that_cannot_be_used(folder, error_of, damage, message):
    damage(folder)
    assert message in error_of(folder)


def test_a_case_of_the_baseline_that_cannot_be_measured(folder, error_of, monkeypatch):
    line = error_of(folder, "--backend", "keras")
    assert "has none of these cases; it has pytorch/default cifar10-resnet18" in line
    monkeypatch.setattr(backends, "find_missing_packages", lambda name: ["torch"])
    assert "no backend can run here: pytorch: torch not installed" in error_of(folder)


def test_baselines_are_listed_shown_and_removed(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    results = folder / "results"
    command.list_baselines(results)
    assert "main" in capsys.readouterr().out
    command.show_baseline("main", results)
    shown = capsys.readouterr().out
    assert "pipeline" in shown
    assert " ms" in shown
    assert " MB" in shown
    monkeypatch.setattr("bench.machine.git.run_git", lambda *_, **__: "feature/x")
    command.save_baseline("main", None, True, results)
    assert [path.stem for path in baseline.list_files(results)] == ["main", "main-feature-x"]
    command.remove_baseline("main", results)
    assert [path.stem for path in baseline.list_files(results)] == ["main-feature-x"]
    with pytest.raises(UserError, match="did you mean 'main-feature-x'"):
        command.remove_baseline("main-feature", results)


@pytest.mark.parametrize(
    ("name", "message"), [("../escaped", "is no name for a baseline"), ("", "is no name"), ("a b", "is no name")]
)
def test_an_unsuitable_name_is_refused(folder, name, message):
    with pytest.raises(UserError, match=message):
        command.save_baseline(name, None, False, folder / "results")


def test_a_baseline_holds_no_path(folder):
    text = (folder / "results/baselines/main.json").read_text()
    assert str(folder) not in text
    assert len(text) < 20_000, "small, and to be reviewed"


@pytest.mark.slow
def test_too_few_launches_make_no_baseline(tmp_path, command_line, monkeypatch):
    with Bench("run", "--suite", suite_file(tmp_path), "--backend", "pytorch", cwd=tmp_path) as bench:
        assert bench.end() == 0
    monkeypatch.chdir(tmp_path)
    ended = command_line("baseline", "save", "main")
    assert ended.status == 2
    assert "a baseline needs 6 launches of every case, and" in ended.err
    assert "has a case with 1" in ended.err
