"""Processes under test: they start the real command line, read its output, and leave no process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

PROJECT = Path(__file__).parents[2]
SITE = Path(__file__).with_name("arithmetic") / "site"

#: A small, fast suite. `weights`, `dataset` and `train_limit` are overridden, so nothing is downloaded.
SUITE = """
description = "As small as can be"
launches = {launches}
rounds = {rounds}
round_seconds = {round_seconds}
proof_images = 4
proof_steps = 3

[[entries]]
task = "cifar10-resnet18"
override = {{ weights = "random", dataset = "digits", train_limit = 64, epochs = 1 }}
"""


def suite_file(folder: Path, launches: int = 1, rounds: int = 2, round_seconds: float = 0.02) -> Path:
    path = folder / "small.toml"
    path.write_text(SUITE.format(launches=launches, rounds=rounds, round_seconds=round_seconds))
    return path


def arithmetic(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment in which all backends are arithmetic."""
    return {**environment, "PYTHONPATH": f"{SITE}{os.pathsep}{PROJECT}"}


def _handle_signals() -> None:
    """Handle the signals that a background job's children, or those of `nohup`, ignore: the tests may run in one."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


class Bench:
    """`python -m bench ...` in a separate process session, whose output is read line by line as it appears."""

    def __init__(self, *arguments: object, cwd: Path, **planted: str) -> None:
        handle, self._events = tempfile.mkstemp(prefix="events")
        os.close(handle)
        environment = arithmetic({**os.environ, "PYTHONUNBUFFERED": "1", "COLUMNS": "120", "EVENTS": self._events})
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench", *map(str, arguments)],
            cwd=cwd,
            env=environment | planted,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            preexec_fn=_handle_signals,
        )
        self.out: list[str] = []
        self.err: list[str] = []
        self._readers = [
            threading.Thread(target=lambda s=stream, o=lines: o.extend(s), daemon=True)
            for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err))
        ]
        for reader in self._readers:
            reader.start()

    @property
    def stdout(self) -> str:
        return "".join(self.out)

    @property
    def stderr(self) -> str:
        return "".join(self.err)

    @property
    def events(self) -> str:
        """What the workers of a run have been doing, see `tests.bench.run_events`."""
        return Path(self._events).read_text()

    def until(self, condition: Callable[[], object], seconds: float = 120) -> None:
        """Wait until a condition is true, and fail if the process ends before that."""
        met: object = None

        def over() -> bool:
            nonlocal met
            alive = self.process.poll() is None
            met = condition()  # called once: it may be true only for a moment
            return bool(met) or not alive

        wait_until(over, seconds)
        assert met, f"ended with {self.process.returncode}: {self.stdout[-1500:]}{self.stderr[-1500:]}"

    def workers(self) -> list[psutil.Process]:
        """All processes below this one: the workers, and the processes of their input pipelines."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, seconds: float = 240) -> int:
        """Wait for the end; returns the exit status. All output has been read then."""
        status = self.process.wait(seconds)
        for reader in self._readers:
            reader.join(10)
        return status

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        with_children = [self.process.pid, *[p.pid for p in self.workers()]] if self.process.poll() is None else []
        Path(self._events).unlink()
        for pid in with_children:
            if psutil.pid_exists(pid):
                psutil.Process(pid).kill()
        self.process.wait()


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    """Wait until a condition is true; returns whether it became true within `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """The processes that have not ended; a zombie counts as ended."""
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def arguments_of(process: psutil.Process) -> list[str]:
    """The command line of a process; empty if it has ended, whether or not its parent has read its status."""
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []
