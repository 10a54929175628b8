"""Baselines: saved from a real run, shown, gated against by real processes, and refused where they do not fit."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import backends
from bench.cli import baseline as command
from bench.errors import UserError
from bench.records import baseline
from bench.records.checksummed_json import checksum
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
    """A folder in which a run of six launches was saved as the baseline `main`."""
    folder = tmp_path_factory.mktemp("measured")
    suite = suite_file(folder, launches=6, rounds=4)
    with Bench("run", "--suite", suite, "--backend", "pytorch", cwd=folder) as bench:
        assert bench.end() == 0, bench.stderr
    with Bench("baseline", "save", "main", cwd=folder) as bench:
        assert bench.end(60) == 0, bench.stderr
    return folder


@pytest.fixture
def folder(measured, tmp_path):
    """The same, to change."""
    shutil.copytree(measured, tmp_path / "own")
    return tmp_path / "own"


def gate(folder: Path, *arguments: object, **planted: str) -> Bench:
    return Bench("gate", "--baseline", "main", *COARSE, *arguments, cwd=folder, **planted)


@pytest.fixture
def refused(command_line, arithmetic_here, monkeypatch):
    """Gates in this process what has to be refused; returns the one line."""

    def run(folder: Path, *arguments: object) -> str:
        monkeypatch.chdir(folder)
        status, out, err = command_line("gate", "--baseline", "main", *COARSE, *arguments)
        assert (status, out) == (2, "")
        assert err.count("\n") == 1, err
        return err

    return run


def changed(folder: Path, change, seal: bool = True) -> None:
    """The baseline's file with something else in it."""
    path = folder / "results/baselines/main.json"
    envelope = json.loads(path.read_text())
    change(envelope["baseline"])
    if seal:
        envelope["sha256"] = checksum(envelope["baseline"])
    path.write_text(json.dumps(envelope))


@pytest.mark.slow
def test_the_same_code_passes_and_what_cannot_be_known_is_said(folder):
    """With another version of a library, that is accepted."""
    changed(folder, lambda b: b["fingerprint"]["versions"].update(numpy="1.0"))
    with gate(folder, "--json", folder / "gate.json", "--allow", "versions") as bench:
        assert bench.end() == 0, bench.stdout + bench.stderr
    assert "Accepted (versions): numpy was 1.0 and is" in bench.stdout
    assert "6 launches" in bench.stdout or "launches, " in bench.stdout
    assert "is in no interval" in bench.stdout
    told = json.loads((folder / "gate.json").read_text())
    assert told["baseline"] == "main"
    assert told["cases"][0]["paired"] is False
    runs = sorted(path.name for path in (folder / "results").iterdir() if path.name != "baselines")
    assert len(runs) == 2, "the gate's launches are kept as a run"


@pytest.mark.slow
def test_a_slower_step_is_found(folder):
    with gate(folder, PLANTED_PYTORCH="sleep 3") as bench:
        assert bench.end() == 1, bench.stdout + bench.stderr
    assert "% slower (99 % interval" in bench.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "said", "allowed"),
    [
        (lambda b: b["fingerprint"]["machine"].update(CPU="Z80"), "CPU was Z80 and is", "machine"),
        (lambda b: b["fingerprint"]["versions"].update(numpy="1.0"), "numpy was 1.0 and is", "versions"),
        (lambda b: b["fingerprint"]["variables"].update(OMP_WAIT_POLICY="active"), "OMP_WAIT_POLICY", "variables"),
        (lambda b: b["cases"][0].update(threads=99), "threads was 99 and is", "threads"),
    ],
)
def test_another_machine_is_refused_unless_it_is_allowed(folder, refused, change, said, allowed):
    changed(folder, change)
    line = refused(folder)
    assert said in line
    assert f"--allow {allowed}" in line


def test_another_experiment_is_refused_for_good(folder, refused):
    changed(folder, lambda b: b["cases"][0].update(task_hash="0" * 12))
    line = refused(folder, "--allow", "machine")
    assert "task_hash was 000000000000 and is" in line
    assert "--allow" not in line


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: changed(f, lambda b: b["cases"][0]["launches"].pop(), seal=False), "its checksum does not fit"),
        (lambda f: changed(f, lambda b: b.update(schema_version=99)), "its schema 99 is newer"),
        (lambda f: changed(f, lambda b: b.pop("cases")), "does not fit the schema: cases"),
        (lambda f: (f / "results/baselines/main.json").write_text('{"sha256": "'), "cut off or not JSON"),
        (
            lambda f: (f / "results/baselines/main.json").rename(f / "results/baselines/mean.json"),
            "did you mean 'mean'",
        ),
    ],
)
def test_a_file_that_cannot_be_used(folder, refused, damage, said):
    damage(folder)
    assert said in refused(folder)


def test_a_case_that_the_baseline_has_and_nobody_can_measure(folder, refused, monkeypatch):
    line = refused(folder, "--backend", "keras")
    assert "has none of these cases; it has pytorch/default cifar10-resnet18" in line
    monkeypatch.setattr(backends, "missing_packages", lambda name: ["torch"])
    assert "no backend can run here: pytorch: torch not installed" in refused(folder)


def test_baselines_are_listed_shown_and_removed(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "160")
    results = folder / "results"
    command.list_all(results)
    assert "main" in capsys.readouterr().out
    command.show("main", results)
    shown = capsys.readouterr().out
    assert "pipeline" in shown
    assert " ms" in shown
    assert " MB" in shown
    monkeypatch.setattr(command, "_branch", lambda: "feature/x")
    command.save("main", None, True, results)
    assert [path.stem for path in baseline.files(results)] == ["main", "main-feature-x"]
    command.remove("main", results)
    assert [path.stem for path in baseline.files(results)] == ["main-feature-x"]
    with pytest.raises(UserError, match="did you mean 'main-feature-x'"):
        command.remove("main-feature", results)


@pytest.mark.parametrize(
    ("name", "said"), [("../escaped", "is no name for a baseline"), ("", "is no name"), ("a b", "is no name")]
)
def test_a_name_that_no_file_should_have(folder, name, said):
    with pytest.raises(UserError, match=said):
        command.save(name, None, False, folder / "results")


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
    assert "has 1 launches of a case, and a baseline needs 6" in ended.err
