"""`bench gate --target`: the training step of somebody else's project, gated for real."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.bench.gate.repository import git, left_over, made
from tests.bench.processes import Bench

EXAMPLE = Path(__file__).with_name("example_project")
FILE = "tests/test_training_speed.py"
TRAINING = "perceptron/training.py"
SUITE = """
description = "Short rounds"
launches = 20
rounds = 12
round_seconds = 0.05
entries = [{ task = "embedded" }]
"""
FIRST = "        hidden = np.maximum(images @ self.first, 0)\n"


@pytest.fixture
def project(tmp_path):
    shutil.copytree(EXAMPLE, tmp_path / "project", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "small.toml").write_text(SUITE)
    return made(tmp_path / "project")


def gate(project: Path, test: str, *arguments: object) -> Bench:
    scratch = project.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    suite = project.parent / "small.toml"
    command = ("gate", "--target", f"{FILE}{test}", "--against", "base", "--suite", suite, "--threads", 1)
    return Bench(*command, *arguments, cwd=project, real="yes", TMPDIR=str(scratch))


def edit(project: Path, old: str, new: str, name: str = TRAINING) -> None:
    file = project / name
    assert file.read_text().count(old) == 1
    file.write_text(file.read_text().replace(old, new))


@pytest.mark.slow
def test_a_slower_step_is_found(project):
    edit(project, FIRST, 3 * FIRST)
    with gate(project, "::test_training_step", "--margin", "20%") as bench:
        assert bench.end() == 1, bench.stdout + bench.stderr
    assert f"{FILE}::test_training_step: " in bench.stdout
    assert "% slower (99 % interval" in bench.stdout
    assert left_over(project) == []
    assert git(project, "status", "--porcelain") == f"M {TRAINING}"


@pytest.mark.slow
def test_what_stays_open_until_the_time_is_over_is_undecided(project):
    """Margins that no noise leaves room for, and next to no false alarm allowed; every round has a setup."""
    edit(project, '"""The training step."""', '"""The step."""')
    tiny = [f"{name}0.0001%" for name in ("", "first-step=", "host-memory=")]
    options = [part for margin in tiny for part in ("--margin", margin)]
    with gate(project, "::test_from_scratch", *options, "--alpha", "0.0001%", "--max-time", "20s") as bench:
        assert bench.end() == 3, bench.stdout + bench.stderr
    assert f"{FILE}::test_from_scratch: undecided: " in bench.stdout
    assert "step: undecided: " in bench.stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("::test_that_times_nothing", "times nothing: call pytest-benchmark's `benchmark` in it"),
        ("", "names 3 tests"),
        ("::test_of_another_name", "no answer to 'test_of_another_name'"),
    ],
)
def test_a_test_that_cannot_be_gated(project, test, said):
    with gate(project, test) as bench:
        assert bench.end() == 2
    assert len([line for line in bench.stderr.splitlines() if line.startswith("bench:")]) == 1
    assert said in bench.stderr or test.strip(":") in bench.stderr


def test_a_test_that_one_side_lacks(project):
    with gate(project, "") as bench:
        (project / FILE).rename(project / "moved.py")
        assert bench.end() == 2
    assert "cannot compare: the working tree has no tests/test_training_speed.py" in bench.stderr


@pytest.mark.slow
def test_a_package_that_comes_from_the_working_tree_is_refused(project):
    """As with an editable install: both arms would measure the same code."""
    edit(
        project,
        "import numpy as np\nimport pytest\n",
        f"import sys\nsys.path.insert(0, {str(project)!r})\nimport numpy as np\nimport pytest\n",
        FILE,
    )
    with gate(project, "::test_training_step") as bench:
        assert bench.end() == 2
    assert "was imported from the working tree" in bench.stderr
