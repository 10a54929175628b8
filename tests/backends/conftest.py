"""The evidence of every backend, computed once, by one process for each of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backends import REGISTRY
from bench import checkpoints
from tests.backends.tasks import TASKS

PROJECT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Evidence:
    """What the processes left: arrays by backend and name, facts by backend."""

    folder: Path

    def arrays(self, backend: str, name: str) -> dict[str, np.ndarray]:
        with np.load(self.folder / backend / f"{name}.npz") as arrays:
            return dict(arrays)

    def facts(self, backend: str, name: str = "facts") -> Any:
        return json.loads((self.folder / backend / f"{name}.json").read_text())


@pytest.fixture(scope="session")
def evidence(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = tmp_path_factory.mktemp("evidence")
    checkpoints.obtain(TASKS["lite0"], progress=False)  # converted here, or all of them would do it at once
    running = {name: _start(name, folder / name) for name in REGISTRY}
    for name, process in running.items():
        status = process.wait(timeout=400)
        assert status == 0, (folder / name / "output.txt").read_text()[-3000:]
    return Evidence(folder)


def _start(backend: str, folder: Path) -> subprocess.Popen:
    folder.mkdir()
    with (folder / "output.txt").open("wb") as output:
        command = [sys.executable, "-m", "tests.backends.evidence", backend, str(folder)]
        one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}  # three processes share the machine
        return subprocess.Popen(command, cwd=PROJECT, stdout=output, stderr=output, env=one_thread)


@pytest.fixture(scope="session")
def in_fresh_interpreter() -> Callable[[str], str]:
    """Runs code in a process of its own, in the project's folder, and returns what it printed."""

    def run(code: str) -> str:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run
