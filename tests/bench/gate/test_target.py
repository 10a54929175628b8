"""`bench gate --target`: the training step of another project is gated, with real processes."""

from __future__ import annotations

import os
import re
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

    def run(project: Path | None, test: str, *arguments: object):
        if project is None:
            return command_line("gate", "--target", test, *arguments)
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
@pytest.mark.thorough
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


@pytest.mark.slow
def test_a_generated_module_that_git_ignores_is_named(project, error_of):
    (project / ".gitignore").write_text("_version.py\n")
    (project / "perceptron/_version.py").write_text("VERSION = 1\n")
    replace_in_file(project, "import numpy as np\n", "import numpy as np\nfrom perceptron._version import VERSION\n")
    assert error_of(project, "::test_training_step").endswith(
        "git ignores perceptron/_version.py, so that no revision's folder has it: commit it to both revisions, or let "
        "the code do without it"
    )


@pytest.mark.slow
def test_a_test_that_is_skipped_names_its_reason(project, error_of):
    (project / "conftest.py").write_text(
        "import pytest\n\n@pytest.fixture(autouse=True)\ndef wanted():\n    pytest.skip('needs --speed')\n"
    )
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "skipped", "--amend")
    git(project, "tag", "--force", "base")
    assert error_of(project, "::test_training_step").endswith("times nothing: it is skipped (needs --speed)")


def test_a_test_that_one_side_lacks(project, error_of):
    (project / FILE).rename(project / "moved.py")
    assert "cannot compare: the working tree has no tests/test_training_speed.py" in error_of(project, "")


@pytest.mark.slow
def test_a_package_that_comes_from_the_working_tree_is_refused(project, error_of):
    """As with an editable install of packages in a folder that no file names: both arms would measure the same code."""
    code = project / "code"
    code.mkdir()
    (project / "perceptron").rename(code / "perceptron")
    replace_in_file(
        project,
        "import numpy as np\nimport pytest\n",
        f"import sys\nsys.path.insert(0, {str(code)!r})\nimport numpy as np\nimport pytest\n",
        FILE,
    )
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message", "code", "--amend")
    git(project, "tag", "--force", "base")
    line = error_of(project, "::test_training_step")
    assert f"(base) was imported from {code}/perceptron/__init__.py, which is none of its files" in line
    assert line.endswith("or name the folder of its packages in pyproject.toml or in pytest's setting `pythonpath`")


#: A project with packages called as this suite's, in a folder `python`, whose tests have options, plugins, a time limit
#: and claims about their own statistics. In the working tree, a step does four times the work.
OTHER_PROJECT = {
    "python/pyproject.toml": """
[project]
name = "other"
version = "1"
[tool.pytest.ini_options]
addopts = "-p speed_plugin --size 3 -m 'not slow' --failed-first --strict-config"
cache_dir = ".cache"
markers = ["slow"]
""",
    "python/speed_plugin.py": """
import pytest

@pytest.fixture
def factor():
    return 2
""",
    "python/conftest.py": """
import signal, pytest

def pytest_addoption(parser):
    parser.addoption("--size", type=int, default=0)

@pytest.fixture(autouse=True)
def limit():
    def stop(*_):
        raise TimeoutError("the test took more than 0.3 s")
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)
""",
    "python/backends/__init__.py": "",
    "python/backends/stepper.py": "LOOPS = 500\n\ndef step(n):\n    return sum(i * i for i in range(n * LOOPS))\n",
    "python/tests/sizes.py": "SCALE = 2\n",
    "python/tests/test_step.py": """
import os, pytest
from backends import stepper
from tests.sizes import SCALE

@pytest.mark.slow
def test_step(benchmark, request, factor):
    benchmark.pedantic(stepper.step, (request.config.getoption("size") * factor * SCALE,), rounds=7, iterations=2)
    assert benchmark.stats["rounds"] == 7
    assert benchmark.stats["mean"] < 0.2
    assert os.path.exists("pyproject.toml")
""",
}


@pytest.mark.slow
def test_a_projects_own_sources_names_options_and_claims_are_kept(tmp_path, here, monkeypatch):
    for name, text in OTHER_PROJECT.items():
        (tmp_path / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "project" / name).write_text(text)
    (tmp_path / "small.toml").write_text(SUITE)
    project = make_repository(tmp_path / "project")
    # Both an installed copy and the working tree are on the path.
    shutil.copytree(project / "python/backends", tmp_path / "installed/backends")
    paths = (tmp_path / "installed", project / "python", os.environ["PYTHONPATH"])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))
    replace_in_file(project, "LOOPS = 500", "LOOPS = 2000", "python/backends/stepper.py")
    monkeypatch.setattr(decision, "DECISION_POINTS", (2,))
    monkeypatch.chdir(project / "python")
    suite = ("--suite", tmp_path / "small.toml", "--threads", 1)
    ended = here(None, "tests/test_step.py::test_step", "--against", "base", *suite, "--", "--size", 4)
    assert "2 launch pairs" in ended.out, ended.out + ended.err
    (change,) = re.findall(r"pair 2: step \+([\d.]+) %", ended.err)
    assert float(change) > 100
