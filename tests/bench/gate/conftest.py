"""Fixtures: a repository with this project's files."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.bench.gate.repository import git, make_repository
from tests.bench.processes import PROJECT

SUITE = """
description = "As small as can be"
launches = 20
rounds = 4
round_seconds = 0.02
proof_images = 4
proof_steps = 3

[[entries]]
task = "cifar10-resnet18"
override = { weights = "random", dataset = "digits", train_limit = 64, epochs = 1 }
fine_tune = false
"""


@pytest.fixture(scope="session")
def pristine(tmp_path_factory) -> Path:
    """A repository with this project's files in one commit, `base`; read-only. Beside it is a suite, `small.toml`."""
    folder = tmp_path_factory.mktemp("pristine") / "project"
    for name in git(PROJECT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if not name.startswith("results/") and (PROJECT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, folder / name)
    (folder.parent / "small.toml").write_text(SUITE)
    return make_repository(folder)


@pytest.fixture
def project(pristine, tmp_path) -> Path:
    """A copy of `pristine`, to change."""
    shutil.copytree(pristine, tmp_path / "project")
    (tmp_path / "small.toml").write_text(SUITE)
    return tmp_path / "project"
