"""A worker as the conductor sees it: started, spoken to, watched, ended."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from backends import knobs
from bench.machine import memory
from bench.machine.environment import PROJECT, out_of_memory_kills
from bench.records.record import Failure
from bench.records.units import MB
from bench.worker.channel import Channel, Message
from bench.worker.job import AnyJob, Job, TargetJob
from bench.worker.lifeline import TELL_STACKS

#: Lines of a dead worker's output that are shown.
LAST_LINES = 12
#: Seconds that a worker may take to save its files and end.
END_TIMEOUT = 120.0
#: Seconds between two looks at the memory of a worker that is awaited.
LOOK_SECONDS = 1.0
#: Seconds that a hung worker gets to write the stacks of its threads, and lines of them that are kept.
STACKS_SECONDS = 1.0
STACK_LINES = 200
#: How frameworks say that they got no memory: Python, C++, PyTorch on CPU and GPU, TensorFlow.
NO_MEMORY = re.compile(r"MemoryError|bad_alloc|OutOfMemory|can't allocate memory|ResourceExhausted|OOM when")
#: Bytes: with less on the disk of temporary files a worker cannot write what it is to leave.
LEAST_FREE = MB
#: Random padding of the environment, in bytes: its size moves the stack, and with it alignment and speed
#: (Mytkowicz et al., "Producing Wrong Data Without Doing Anything Obviously Wrong!", ASPLOS 2009).
MOST_PADDING = 4096


#: Variables that hold several things, and what stands between them: a knob adds its own.
LISTS = {"LD_PRELOAD": ":", "GLIBC_TUNABLES": ":"}

#: How the end of a process by SIGKILL is told.
KILLED = "killed by SIGKILL"


class WorkerDied(Exception):
    """The worker ended before it should have; `failure` says how."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


class WorkerProcess:
    """One process running one job. It is started holding the baton."""

    def __init__(self, job: AnyJob, on_event: Callable[[str, Message], None]) -> None:
        """Start it.

        Args:
            job: what to run; its descriptor is filled in here.
            on_event: called with the case and every message that comes while waiting for another.
        """
        ours, theirs = socket.socketpair()
        self.job = job.model_copy(update={"descriptor": theirs.fileno(), "spawned": time.monotonic()})
        self.phase = "start"
        self.said: dict[str, Message] = {}
        self.peak: int | None = None
        self._kills_before = out_of_memory_kills()
        self._on_event = on_event
        self._channel = Channel(ours)
        self._log = self.job.folder / "output.txt"
        file = self.job.folder / "job.json"
        file.write_text(self.job.model_dump_json())
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(job.python or sys.executable), "-P", "-m", "bench.worker", str(file)],
                cwd=job.root or PROJECT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment(self.job),
                start_new_session=True,  # Ctrl-C is the conductor's to deal with
            )
        theirs.close()

    def wait_for(self, *events: str, timeout: float) -> Message:
        """The next message that is one of `events`; others are kept in `said` and passed to `on_event`.

        Raises:
            WorkerDied: it ended, said that it failed, or was silent for `timeout` seconds and was killed.
        """
        patience = time.monotonic() + timeout
        while True:
            try:
                message = self._channel.receive(max(0.0, min(LOOK_SECONDS, patience - time.monotonic())))
            except (TimeoutError, BlockingIOError):
                self._look()
                if time.monotonic() < patience:
                    continue
                stacks = self._stacks()
                self.kill()
                failure = self._failure(f"no answer for {timeout:.0f} s, killed")
                raise WorkerDied(failure.model_copy(update={"stacks": stacks})) from None
            if message is None:
                raise WorkerDied(self._failure(None))
            self._look()
            patience = time.monotonic() + timeout
            event = message["event"]
            if event == "phase":
                self.phase = message["name"]
            self.said[f"{event} {message['kind']}" if "kind" in message else event] = message
            self._on_event(self.job.case, message)
            if event in events:
                return message

    def hand_baton(self, **content: Any) -> None:
        """Let it go on.

        Raises:
            WorkerDied: it is gone.
        """
        try:
            self._channel.send(**content)
        except OSError:
            raise WorkerDied(self._failure(None)) from None

    def end(self, timeout: float = END_TIMEOUT) -> None:
        """Wait until it has saved its files and ended by itself.

        Raises:
            WorkerDied: it ended with a failure, or not in time.
        """
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise WorkerDied(self._failure(f"did not end in {timeout:.0f} s, killed")) from None
        self._channel.close()
        if status:
            raise WorkerDied(self._failure(None))

    def refuse(self, reason: str) -> NoReturn:
        """End it at once, for a reason of the conductor's.

        Raises:
            WorkerDied: always.
        """
        self.kill()
        raise WorkerDied(self._failure(reason))

    def kill(self) -> None:
        """End it and its children at once. Killing a dead worker is allowed."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._channel.close()

    def _failure(self, reason: str | None) -> Failure:
        if reason is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)  # it has hung up: its exit status is near
            self.kill()
            failed = self.said.get("failed")
            reason = failed["reason"] if failed else ended(self.process.returncode)
        if NO_MEMORY.search(reason) or (KILLED in reason and out_of_memory_kills() > self._kills_before):
            size = f" at {self.peak / MB:,.0f} MB" if self.peak else ""
            reason = f"out of memory{size}: {reason}: free some, or use a smaller --batch-size, or --isolated"
        elif shutil.disk_usage(self.job.folder).free < LEAST_FREE:
            reason += ": the disk of temporary files is full: free space there, or set TMPDIR"
        lines = self._lines()
        return Failure(phase=self.phase, reason=reason, last_lines=tuple(lines[-LAST_LINES:]), peak=self.peak)

    def _lines(self) -> list[str]:
        return self._log.read_text(errors="replace").splitlines()

    def _look(self) -> None:
        """Note the worker's peak, of which nothing is left when it is killed."""
        peak = memory.peak_bytes(Path("/proc") / str(self.process.pid) / "status")
        self.peak = max(filter(None, (self.peak, peak)), default=None)

    def _stacks(self) -> tuple[str, ...]:
        """The stacks of all threads of a worker that hangs, as it writes them when it is asked."""
        if TELL_STACKS is None:
            return ()
        before = len(self._lines())
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(TELL_STACKS)
        time.sleep(STACKS_SECONDS)
        return tuple(self._lines()[before:][:STACK_LINES])


def ended(status: int) -> str:
    """How a process ended, in words."""
    if status == -signal.SIGKILL:
        return f"{KILLED}: by someone, or by the kernel because memory ran out"
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"ended with exit status {status}"


def environment(job: AnyJob) -> dict[str, str]:
    """The worker's environment: what decides speed is set, and the same for all."""
    threads = str(job.variant.threads)
    inherited = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    chosen = {
        "OMP_NUM_THREADS": threads,
        "MKL_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "TF_ENABLE_ONEDNN_OPTS": inherited.get("TF_ENABLE_ONEDNN_OPTS", "1"),
        "TF_CPP_MIN_LOG_LEVEL": inherited.get("TF_CPP_MIN_LOG_LEVEL", "2"),
        "CUDA_DEVICE_ORDER": inherited.get("CUDA_DEVICE_ORDER", "PCI_BUS_ID"),  # NVML counts GPUs like this
        "PYTHONPATH": os.pathsep.join(filter(None, [*_sources(job), inherited.get("PYTHONPATH")])),
        "PYTHONUNBUFFERED": "1",
        # A late worker of a killed gate must not write into a scratch folder that others have just removed.
        **({"PYTHONDONTWRITEBYTECODE": "1"} if job.root else {}),
        **({"TORCHINDUCTOR_CACHE_DIR": str(job.compiled)} if job.compiled else {}),
        "HEADTOHEAD_PADDING": "x" * random.randrange(MOST_PADDING),
    }
    turned = knobs.environment(job.backend, job.variant) if isinstance(job, Job) else {}
    for name, separator in LISTS.items():
        if name in turned and inherited.get(name):
            turned[name] += f"{separator}{inherited[name]}"
    # Another project's test may need its plugins; ours needs one.
    ours = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "pytest_benchmark.plugin"}
    return inherited | chosen | turned | ({} if isinstance(job, TargetJob) else ours)


def _sources(job: AnyJob) -> list[str]:
    """Where Python finds the worker's modules, and those of another project's test."""
    if isinstance(job, TargetJob):
        return [str(PROJECT), str(job.root), f"{job.root}/src"]
    return [str(job.root or PROJECT)]
