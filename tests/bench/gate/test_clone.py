"""The gate compares the clone in which the user is, by that clone's own code."""

from __future__ import annotations

import sys

import pytest

from bench.errors import UserError
from bench.gate import clone
from bench.gate.source_trees import SourceTree
from tests.bench.processes import PROJECT, Bench

OWN_LINE = "the gate of the clone itself"


@pytest.mark.slow
def test_a_second_clone_is_gated_with_its_own_code(project):
    """As in a worktree that shares an environment: `bench` is the installed one."""
    options = project / "bench/gate/gate_options.py"
    options.write_text(
        options.read_text().replace("        given = [", f'        raise UserError("{OWN_LINE}")\n        given = [')
    )
    for cwd, arguments in ((project / "docs", ()), (PROJECT / "docs", ("--repository", project))):
        with Bench("gate", "--against", "base", *arguments, cwd=cwd) as bench:
            assert bench.end() == 2
        assert f"Gating {project} with its own code; this command is installed from {PROJECT}." in bench.stderr
        assert bench.stderr.endswith(f"bench: {OWN_LINE}\n")


def test_outside_of_any_clone_one_line_says_what_can_be_gated(tmp_path, command_line, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ended = command_line("gate", "--against", "HEAD")
    assert (ended.status, ended.out) == (2, "")
    assert f"{tmp_path} is in no clone of this suite (it has no bench/worker/__main__.py)" in ended.err
    assert "give it as --repository" in ended.err
    ended = command_line("gate", "--baseline", "none", "--repository", tmp_path)
    assert "is in no clone of this suite" in ended.err
    ended = command_line("gate", "--against", "HEAD", "--repository", tmp_path / "nothing")
    assert "nothing is no folder: name one in a git repository" in ended.err


def test_a_target_without_a_name_measures_no_tasks(command_line):
    ended = command_line("gate", "--against", "HEAD", "--target", "")
    assert ended.status == 2
    assert "--target is empty: name a test, or leave the option out to measure tasks" in ended.err


def test_arguments_for_pytest_need_a_test(command_line):
    ended = command_line("gate", "--against", "HEAD", "--", "-k", "x")
    assert ended.status == 2
    assert "unexpected arguments -k x: they are pytest's, for --target" in ended.err


def test_a_clone_whose_code_cannot_be_imported_starts_itself_only_once(tmp_path, command_line, monkeypatch):
    (tmp_path / "bench/worker").mkdir(parents=True)
    (tmp_path / clone.WORKER_FILE).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(clone.STARTED_FOR, str(tmp_path))
    ended = command_line("gate", "--against", "HEAD")
    assert ended.status == 2
    assert f"bench is imported from {PROJECT}, although {tmp_path} comes first in PYTHONPATH" in ended.err


def test_an_arm_that_would_run_other_code_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    tree = SourceTree(tmp_path, sys.executable, "v1 (base)")
    with pytest.raises(UserError, match=rf"v1 \(base\) would run the code in {PROJECT}/b"):
        clone.refuse_foreign_suite(tree)
    for name in ("bench", "backends"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    clone.refuse_foreign_suite(tree)


def test_a_measurement_of_another_clones_code_is_noted(tmp_path, command_line, monkeypatch):
    (tmp_path / "bench/worker").mkdir(parents=True)
    (tmp_path / clone.WORKER_FILE).touch()
    (tmp_path / "docs").mkdir()
    monkeypatch.chdir(tmp_path / "docs")
    note = (
        f"bench: This measures the code in {PROJECT}, not the one in {tmp_path}: for that, run python -m bench there."
    )
    assert note in command_line("run", "--task", "none").err.splitlines()
    assert note not in command_line("list", "suites").err
    monkeypatch.chdir(PROJECT / "docs")
    assert "This measures" not in command_line("run", "--task", "none").err
