"""The examples for GitHub and GitLab in docs/gate.md: their commands are extracted and run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.gate.repository import git
from tests.bench.gate.test_gate import replace_in_file
from tests.bench.processes import PROJECT, arithmetic

DOCUMENT = PROJECT / "docs/gate.md"
#: Commands that are not run here, because they need the network.
ELSEWHERE = re.compile(r"python -m pip ")


def find_example(first_line: str) -> str:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text(), re.S)
    return next(block for block in blocks if block.startswith(first_line))


def list_commands(text: str, marker: str) -> list[str]:
    found = [line.split(marker, 1)[1] for line in text.splitlines() if line.strip().startswith(marker.strip())]
    return [command for command in found if not ELSEWHERE.match(command)]


@pytest.fixture
def clone(project, tmp_path):
    """A clone of the project, with a remote, a main branch and a branch of its own."""
    git(project, "branch", "--force", "main")
    folder = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", "--branch", "main", str(project), str(folder))
    git(folder, "switch", "--quiet", "--create", "topic")
    return folder


def run(command: str, clone: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = arithmetic({**os.environ, "PATH": path, "COLUMNS": "120"}) | variables
    return subprocess.run(
        ["bash", "-ec", command], cwd=clone, env=environment, capture_output=True, text=True, check=False
    )


def test_actions_are_pinned_by_commit():
    uses = re.findall(r"uses: (\S+)", DOCUMENT.read_text())
    assert uses
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", one) for one in uses)


def test_the_github_example_passes_in_seconds_if_only_the_readme_changed(clone, tmp_path):
    (line,) = list_commands(find_example("name: training speed"), "      - run: ")
    replace_in_file(clone, "# Head-to-Head", "# Head to head", "README.md")
    git(clone, "commit", "--quiet", "--all", "--message", "words")
    summary = tmp_path / "summary.md"
    done = run(line, clone, GITHUB_BASE_REF="main", GITHUB_STEP_SUMMARY=str(summary))
    assert done.returncode == 0, done.stderr
    assert "nothing that training depends on has changed" in done.stdout
    assert "nothing that training depends on has changed" in summary.read_text()
    assert (clone / "gate.md").read_text() == summary.read_text()
    assert (clone / "gate.xml").is_file()


@pytest.mark.slow
@pytest.mark.thorough
def test_the_gitlab_example_measures_a_change(clone):
    lines = list_commands(find_example("training-speed:"), "    - ")
    lines = [line for line in lines if not line.startswith("if:")]
    assert [line.split()[0] for line in lines] == ["git", "python"]
    replace_in_file(clone, "PIPELINE = 1e-5", "PIPELINE = 1.1e-5", "bench/parity/tolerances.py")
    git(clone, "commit", "--quiet", "--all", "--message", "another tolerance")
    small = f"--suite {clone.parent}/small.toml --margin 40% --margin first-step=99% --margin host-memory=20%"
    done = run(f"{lines[0]}\n{lines[1]} {small}", clone, CI_MERGE_REQUEST_TARGET_BRANCH_NAME="main")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "default cifar10-resnet18: no change that matters: " in done.stdout or ": faster: " in done.stdout
    assert "launch pairs" in done.stdout
    assert 'classname="pytorch/default cifar10-resnet18" name="pipeline"' in (clone / "gate.xml").read_text()
