"""The environment of the base: an overlay with other package versions, made by the real pip from a local wheel."""

from __future__ import annotations

import base64
import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.gate import base_environment
from tests.bench.gate.repository import git
from tests.bench.gate.test_gate import COARSE, replace_in_file
from tests.bench.processes import Bench

NAME = "head_to_head_brake"


def make_wheel(folder: Path, version: str) -> None:
    """Make a wheel of a package whose `TIMES` is its major version."""
    folder.mkdir(exist_ok=True)
    info = f"{NAME}-{version}.dist-info"
    files = {
        f"{NAME}.py": f"TIMES = {int(version.partition('.')[0])}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {
        name: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        for name, text in files.items()
    }
    record = [f"{name},sha256={digest},{len(files[name])}" for name, digest in digests.items()]
    files[f"{info}/RECORD"] = "\n".join([*record, f"{info}/RECORD,,"]) + "\n"
    with zipfile.ZipFile(folder / f"{NAME}-{version}-py3-none-any.whl", "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    for version in ("1.0", "9.0"):
        make_wheel(tmp_path / "wheels", version)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    return tmp_path / "wheels"


def output_of(python: Path, code: str) -> str:
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.slow
def test_an_overlay_has_its_own_version_and_sees_all_other_packages(wheels):
    lines: list[str] = []
    python = base_environment.make_overlay([f"{NAME}==1.0"], lines.append)
    assert output_of(python, f"import {NAME}, numpy; print({NAME}.TIMES, numpy.__version__)").startswith("1 ")
    import numpy

    assert output_of(python, "import numpy; print(numpy.__file__)") == numpy.__file__
    assert base_environment.make_overlay([f"{NAME}==1.0"], lines.append) == python
    assert len(lines) == 1, "made once"
    other = base_environment.make_overlay([f"{NAME}==9.0"], lines.append)
    assert output_of(other, f"import {NAME}; print({NAME}.TIMES)") == "9"


@pytest.mark.parametrize("requirement", ["==1", "", "-e ."])
def test_a_text_that_is_no_requirement(requirement):
    with pytest.raises(UserError, match="is no requirement"):
        base_environment.parse_package_name(requirement)


@pytest.mark.parametrize("requirement", ["torch", "torch==", " torch [a] "])
def test_a_requirement_without_a_version(requirement):
    with pytest.raises(UserError, match=r"names no version: give one, as torch==2\.13\.0"):
        base_environment.check_version(requirement)


@pytest.mark.parametrize("requirement", ["torch==2.13.0", "torch >= 2", "x[a,b]~=1.0", "x @ ./x.whl", "torch<3,>2"])
def test_a_requirement_with_one(requirement):
    base_environment.check_version(requirement)


@pytest.mark.slow
def test_a_version_that_does_not_exist_is_one_line(wheels):
    with pytest.raises(UserError, match=r"cannot be made \(ERROR: No matching distribution .*--base-env"):
        base_environment.make_overlay([f"{NAME}==7.0"], lambda line: None)


def test_the_same_dependencies_need_no_environment(tmp_path):
    for arm in ("base", "head"):
        (tmp_path / arm).mkdir()
        (tmp_path / arm / "pyproject.toml").write_text(
            '[project]\nname = "x"\ndependencies = ["numpy"]\n[project.optional-dependencies]\n'
            f'all = ["x[dev]"]\ndev = ["tool-of-{arm}"]\n'
        )
    found = base_environment.choose_interpreter(tmp_path / "base", tmp_path / "head", lambda line: None)
    assert found == Path(sys.executable)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "project = 3",
        '[project]\nname = "x"',
        '[project]\ndependencies = "numpy"\noptional-dependencies = 3',
        '[project]\ndependencies = [3]\noptional-dependencies = { a = "numpy" }',
    ],
)
def test_a_base_that_requires_nothing_needs_no_environment(tmp_path, text):
    for arm, content in (("base", text), ("head", '[project]\nname = "x"\ndependencies = ["numpy"]\n')):
        (tmp_path / arm).mkdir()
        (tmp_path / arm / "pyproject.toml").write_text(content)
    found = base_environment.choose_interpreter(tmp_path / "base", tmp_path / "head", pytest.fail)
    assert found == Path(sys.executable)


def test_a_revision_of_this_project_with_another_command_line_needs_no_environment(tmp_path):
    for arm, package in (("base", "typer>=0.15,<1"), ("head", "cyclopts>=5.5,<6")):
        (tmp_path / arm).mkdir()
        text = f'[project]\nname = "head-to-head"\ndependencies = ["numpy", "{package}"]\n'
        (tmp_path / arm / "pyproject.toml").write_text(text)
    found = base_environment.choose_interpreter(tmp_path / "base", tmp_path / "head", pytest.fail)
    assert found == Path(sys.executable)


@pytest.mark.slow
@pytest.mark.thorough
def test_a_base_with_other_dependencies_runs_with_them_and_so_does_another_package(project, wheels):
    """With a package that only the base's environment has, a step is computed once instead of three times."""
    file = "tests/bench/arithmetic/__init__.py"
    step = "        loss, gradient = self.of_features(self.features(images), labels)\n"
    times = f"        try:\n            from {NAME} import TIMES\n        except ImportError:\n            TIMES = 3\n"
    replace_in_file(project, step, f"{times}        for _ in range(TIMES):\n    {step}", file)
    replace_in_file(project, '    "psutil>=6,<8",\n', f'    "psutil>=6,<8",\n    "{NAME}==1.0",\n', "pyproject.toml")
    git(project, "commit", "--quiet", "--all", "--message", "with a package")
    replace_in_file(project, f'    "{NAME}==1.0",\n', "", "pyproject.toml")
    scratch = project.parent / "scratch"
    scratch.mkdir(exist_ok=True)
    command = ("gate", "--suite", project.parent / "small.toml", "--backend", "pytorch", *COARSE)
    with Bench(*command, "--against", "HEAD", cwd=project, TMPDIR=str(scratch)) as bench:
        assert bench.end() == 1, bench.stdout + bench.stderr
    assert "% slower (99 % interval" in bench.stdout
    assert "Installing" in bench.stderr

    # Only another package: one pair shows that both arms run, and the time is too short for a verdict.
    package = f"{NAME}==1.0"
    with Bench(*command, "--against-package", package, "--max-time", "1s", cwd=project, TMPDIR=str(scratch)) as bench:
        assert bench.end() == 2
    assert f"the working tree against {package}" in bench.stderr
    assert "6 launch pairs, the fewest for a verdict" in bench.stderr


def test_the_git_that_pip_runs_does_not_get_the_index_of_a_hook(monkeypatch):
    monkeypatch.setenv("GIT_INDEX_FILE", "/a/hooks/index.lock")
    code = "import os; print(os.environ.get('GIT_INDEX_FILE'), 'PATH' in os.environ)"
    assert base_environment._run([sys.executable, "-c", code]) == "None True\n"
