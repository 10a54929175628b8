"""The evidence of every backend, computed once, by one process for each of them."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from backends import REGISTRY
from backends.exported.exported_backbone import is_exported
from tests.backends.sessions import ALWAYS, OWN, REFERENCE
from tests.backends.tasks import TASKS, checkpoint_of
from tests.bench.processes import PROJECT, living, wait_until

#: What a process writes last.
LAST = "frameworks.json"
CONVERT = """
from tests.backends.tasks import TASKS, checkpoint_of, learn_graph
for name in ("lite0", "exported", "exported, all"):
    checkpoint_of(TASKS[name])
learn_graph(TASKS["frozen"])
"""

GATHERING: pytest.StashKey[Gathering] = pytest.StashKey()


@dataclass(frozen=True)
class Evidence:
    """What the processes left: arrays by backend and name, facts by backend."""

    folder: Path

    def arrays(self, backend: str, name: str) -> dict[str, np.ndarray]:
        with np.load(self.folder / backend / f"{name}.npz") as arrays:
            return dict(arrays)

    def facts(self, backend: str, name: str = "facts") -> Any:
        return json.loads((self.folder / backend / f"{name}.json").read_text())


class Gathering:
    """The processes: one at a time and behind the others while other tests run, two at a time when they are awaited.

    They use the core that most tests leave idle. They are no children of this process: some tests count those.
    """

    def __init__(self, folder: Path, backends: tuple[str, ...]) -> None:
        self.folder, self.backends = folder, backends
        self.environment = {
            **os.environ,
            "OMP_NUM_THREADS": "1",  # the processes share the machine
            # XLA compiles the same functions for many of the tasks, variants and faults.
            "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "HEADTOHEAD_HOME": str(folder / "home"),
        }
        self.running: list[psutil.Process] = []
        self._awaited, self._stopped = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._start_all, daemon=True)
        self._thread.start()

    def evidence(self) -> Evidence:
        """Waits for all of it."""
        self._awaited.set()
        for process in living(self.running):
            with contextlib.suppress(psutil.Error, OSError):  # not everybody may
                for thread in process.threads():  # in Linux each has a niceness of its own
                    os.setpriority(os.PRIO_PROCESS, thread.id, 0)
        self._thread.join(1800)
        assert wait_until(lambda: not living(self.running), 1800)
        for name in self.backends:
            assert (self.folder / name / LAST).is_file(), (self.folder / f"{name}.txt").read_text()[-3000:]
        return Evidence(self.folder)

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(60)
        for process in living(self.running):
            process.kill()

    def _start_all(self) -> None:
        # Converted here, or all of them would do it at once.
        subprocess.run([sys.executable, "-c", CONVERT], cwd=PROJECT, env=self.environment, check=True)
        for name in self.backends:
            while len(living(self.running)) >= (2 if self._awaited.is_set() else 1):
                if self._stopped.wait(0.2):
                    return
            self.running.append(self._start(name, 0 if self._awaited.is_set() else 10))

    def _start(self, backend: str, niceness: int) -> psutil.Process:
        (self.folder / backend).mkdir()
        python = [sys.executable, "-m", "tests.backends.evidence", backend, str(self.folder / backend)]
        if backend == REFERENCE and not set(ALWAYS) <= set(self.backends):
            python.append("--reference")
        command = f"nice -n {niceness} {shlex.join(python)} > {self.folder}/{backend}.txt 2>&1 & echo $!"
        environment = {**self.environment, **REGISTRY[backend].environment}
        done = subprocess.run(
            ["sh", "-c", command], cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True, check=True
        )
        return psutil.Process(int(done.stdout))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What needs the evidence comes last. Of several processes (pytest-xdist's) one runs all that needs it, first."""
    items.sort(key=needs_evidence, reverse=is_one_of_several(config))


def pytest_collection_finish(session: pytest.Session) -> None:
    if not session.config.option.collectonly and not is_one_of_several(session.config):
        start_gathering(session)


def start_gathering(session: pytest.Session) -> None:
    if names := list_needed_backends(session.items):
        session.config.stash[GATHERING] = Gathering(Path(tempfile.mkdtemp(prefix="evidence-")), names)


def pytest_unconfigure(config: pytest.Config) -> None:
    if gathering := config.stash.get(GATHERING, None):
        gathering.stop()
        shutil.rmtree(gathering.folder, ignore_errors=True)


def is_one_of_several(config: pytest.Config) -> bool:
    return hasattr(config, "workerinput")


def needs_evidence(item: pytest.Item) -> bool:
    return "evidence" in getattr(item, "fixturenames", ())


def list_needed_backends(items: list[pytest.Item]) -> tuple[str, ...]:
    """The backends whose evidence the tests need; the longest come first, the reference is among them."""
    having = list(filter(needs_evidence, items))
    if not having:
        return ()
    others = {name for item in having for mark in item.iter_markers("engines") for name in mark.args}
    always = any(not item.get_closest_marker("engines") for item in having)
    return (*(name for name in OWN if name in others), *(ALWAYS if always else (REFERENCE,)))


@pytest.fixture(scope="session")
def evidence(request: pytest.FixtureRequest) -> Evidence:
    if GATHERING not in request.config.stash:
        start_gathering(request.session)
    found = request.config.stash[GATHERING].evidence()
    with pytest.MonkeyPatch.context() as patch:  # this process, too, has to know the exported networks
        patch.setenv("HEADTOHEAD_HOME", str(found.folder / "home"))
        for task in filter(lambda task: is_exported(task.backbone), TASKS.values()):
            checkpoint_of(task)
    return found


@pytest.fixture(scope="session")
def in_fresh_interpreter() -> Callable[[str], str]:
    """Runs code in a process of its own, in the project's folder, and returns what it printed."""

    def run(code: str) -> str:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    return run
