"""A home of its own for every test, and PyTorch's files, which one process writes for all tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("HEADTOHEAD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("HEADTOHEAD_WEIGHTS_MIRROR", raising=False)
    return tmp_path / "home"


@pytest.fixture(scope="package")
def pth(tmp_path_factory) -> Path:
    """A folder with PyTorch's files, sound and unsound: see `pytorch_files`."""
    folder = tmp_path_factory.mktemp("pth")
    command = [sys.executable, "-m", "tests.bench.weights.pytorch_files", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr[-2000:]
    return folder
