"""`bench gate --target`: the training step of another project is gated, with real processes."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.gate import decision
from bench.measure import conductor
from bench.measure.conductor import run_launch
from tests.bench.gate.repository import git, list_left_over, make_repository
from tests.bench.processes import Bench, arithmetic

EXAMPLE = Path(__file__).with_name("example_project")
FILE = "tests/test_training_speed.py"
TRAINING = "perceptron/training.py"
SUITE = """
description = "Short rounds"
launches = 20
rounds = 6
round_seconds = 0.03
entries = [{ task = "embedded" }]
"""
FIRST = "        hidden = np.maximum(images @ self.first, 0)\n"


@pytest.fixture
def project(tmp_path):
    shutil.copytree(EXAMPLE, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "small.toml").write_text(SUITE)
    return make_repository(tmp_path / "project")


def command(project: Path, test: str) -> tuple[object, ...]:
    suite = project.parent / "small.toml"
    return ("gate", "--target", f"{FILE}{test}", "--against", "base", "--suite", suite, "--threads", 1)


@pytest.fixture
def here(command_line, monkeypatch):
    """Runs a gate on a test with the conductor in this process; only the workers have their own."""
    monkeypatch.setattr(conductor, "run_launch", run_launch)
    monkeypatch.setenv("PYTHONPATH", arithmetic({})["PYTHONPATH"])
    monkeypatch.setenv("SHORT_WARMUP", "yes")

    def run(project: Path, test: str, *arguments: object):
        monkeypatch.chdir(project)
        return command_line(*command(project, test), *arguments)

    return run


@pytest.fixture
def error_of(here):
    """As `here`, for calls that have to be refused; returns the line of the error."""

    def run(project: Path, test: str) -> str:
        ended = here(project, test)
        assert ended.status == 2
        (line,) = [line for line in ended.err.splitlines() if line.startswith("bench:")]
        return line

    return run


def replace_in_file(project: Path, old: str, new: str, name: str = TRAINING) -> None:
    file = project / name
    assert file.read_text().count(old) == 1
    file.write_text(file.read_text().replace(old, new))


@pytest.mark.slow
def test_a_slower_step_is_found(project):
    replace_in_file(project, FIRST, 3 * FIRST)
    scratch = project.parent / "scratch"
    scratch.mkdir()
    where = {"SHORT_WARMUP": "yes", "TMPDIR": str(scratch)}
    with Bench(*command(project, "::test_training_step"), "--margin", "20%", cwd=project, **where) as bench:
        assert bench.end() == 1, bench.stdout + bench.stderr
    assert f"{FILE}::test_training_step: " in bench.stdout
    assert "% slower (99 % interval" in bench.stdout
    assert list_left_over(project) == []
    assert git(project, "status", "--porcelain") == f"M {TRAINING}"


@pytest.mark.slow
def test_an_open_verdict_at_the_last_decision_point_is_undecided(project, here, monkeypatch):
    """The margins are below any noise, and almost no false alarm is allowed; every round has a setup."""
    replace_in_file(project, '"""The training step."""', '"""The step."""')
    monkeypatch.setattr(decision, "DECISION_POINTS", (2,))
    tiny = [f"{name}0.0001%" for name in ("", "first-step=", "host-memory=")]
    options = [part for margin in tiny for part in ("--margin", margin)]
    ended = here(project, "::test_from_scratch", *options, "--alpha", "0.0001%")
    assert ended.status == 3, ended.out + ended.err
    assert f"{FILE}::test_from_scratch: undecided: " in ended.out
    assert "step: undecided: " in ended.out
    assert "2 launch pairs" in ended.out


@pytest.mark.slow
@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("::test_that_times_nothing", "times nothing: call pytest-benchmark's `benchmark` in it"),
        ("", "names 3 tests"),
        ("::test_of_another_name", "test_of_another_name"),
    ],
)
def test_a_test_that_cannot_be_gated(project, error_of, test, message):
    assert message in error_of(project, test)


def test_a_test_that_one_side_lacks(project, error_of):
    (project / FILE).rename(project / "moved.py")
    assert "cannot compare: the working tree has no tests/test_training_speed.py" in error_of(project, "")


@pytest.mark.slow
def test_a_package_that_comes_from_the_working_tree_is_refused(project, error_of):
    """As with an editable install: both arms would measure the same code."""
    replace_in_file(
        project,
        "import numpy as np\nimport pytest\n",
        f"import sys\nsys.path.insert(0, {str(project)!r})\nimport numpy as np\nimport pytest\n",
        FILE,
    )
    assert "was imported from the working tree" in error_of(project, "::test_training_step")
