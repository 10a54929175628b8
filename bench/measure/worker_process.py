"""The worker process, from the conductor's side: start it, exchange messages with it, watch it, end it."""

from __future__ import annotations

import contextlib
import os
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

from bench.machine import memory
from bench.machine.environment import (
    PROJECT,
    count_out_of_memory_kills,
    list_disobeyed_variables,
    list_variables,
)
from bench.machine.process_time import read_tree_cpu_seconds
from bench.machine.system_reading import try_read
from bench.measure.silence import Silence, SilenceLimit
from bench.measure.worker_death import KILLED, choose_last_lines, explain_death
from bench.measure.worker_environment import build_environment, write_keras_configuration
from bench.records.plain_text import strip_escapes
from bench.records.private_paths import shorten_paths
from bench.records.record import Failure
from bench.records.units import MB
from bench.worker.channel import Channel, Message
from bench.worker.job import AnyJob, TargetJob
from bench.worker.lifeline import DUMP_STACKS_SIGNAL

#: Seconds that a worker may take to save its files and end.
END_TIMEOUT = 120.0
#: Seconds between two readings of a worker's memory while its message is awaited.
POLL_SECONDS = 1.0
#: Seconds that a hung worker gets to write the stacks of its threads, and how many lines of them are kept.
STACKS_SECONDS = 1.0
STACK_LINES = 200
#: How errors of Python, C++, PyTorch on CPU and GPU, and TensorFlow name a lack of memory.
OUT_OF_MEMORY = re.compile(r"MemoryError|bad_alloc|OutOfMemory|can't allocate memory|ResourceExhausted|OOM when")
#: How a failure names it.
NO_MEMORY = "out of memory"
#: With fewer free bytes on the disk of temporary files, a worker cannot write its results.
MIN_FREE_DISK = MB
#: The program of a worker that runs another project's test.
TARGET_WORKER = PROJECT / "bench/worker/target_worker.py"


class WorkerDied(Exception):
    """The worker ended too early; `failure` says how."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.reason)
        self.failure = failure


def is_out_of_memory(failure: Failure) -> bool:
    """Whether a worker died because memory ran out, the host's or a device's."""
    return failure.reason.startswith(NO_MEMORY)


class WorkerProcess:
    """One process that runs one job. It has the baton when it starts.

    Attributes:
        variables: its environment variables that figures depend on.
        disobeyed: the user's variables that it does not have as they are: the value outside, and its own.
    """

    def __init__(self, job: AnyJob, on_event: Callable[[str, Message], None]) -> None:
        """Start the process.

        Args:
            job: what to run; its `descriptor` and `spawned` are filled in here.
            on_event: called with the case and every message that arrives.
        """
        ours, theirs = socket.socketpair()
        self.job = job.model_copy(update={"descriptor": theirs.fileno(), "spawned": time.monotonic()})
        self.phase = "start"
        self.compiles = False
        self.messages: dict[str, Message] = {}
        self.peak: int | None = None
        self._kills_before = count_out_of_memory_kills()
        self._on_event = on_event
        self._channel = Channel(ours)
        self._log = self.job.folder / "output.txt"
        file = self.job.folder / "job.json"
        file.write_text(self.job.model_dump_json(), encoding="utf-8")
        environment = build_environment(self.job)
        self.variables = list_variables(environment)
        self.disobeyed: dict[str, tuple[str, str]] = {}
        if not isinstance(job, TargetJob):
            write_keras_configuration(self.job)
            self.disobeyed = list_disobeyed_variables(os.environ, environment)
        with self._log.open("wb") as output:
            self.process = subprocess.Popen(
                [str(job.python or sys.executable), "-P", *_list_program(job), str(file)],
                cwd=job.start_folder if isinstance(job, TargetJob) else job.root or PROJECT,
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=environment,
                start_new_session=True,  # Ctrl-C goes to the conductor only
            )
        theirs.close()

    def wait_for(self, *events: str, limit: SilenceLimit) -> Message:
        """Wait for the next message that is one of `events`; every message is kept and given to `on_event`.

        Raises:
            WorkerDied: it ended, or was silent for longer than `limit` and was killed.
        """
        silence = Silence(limit, self.compiles)
        while True:
            try:
                message = self._channel.receive(min(POLL_SECONDS, silence.seconds_left))
            except (TimeoutError, BlockingIOError):
                self._update_peak()
                if silence.is_too_long(lambda: read_tree_cpu_seconds(self.process.pid)):
                    self._die_hung(silence.describe())
                continue
            if message is None:
                raise WorkerDied(self._build_failure(None))
            self._update_peak()
            silence.note_message(message)
            event = message["event"]
            if event == "phase":
                self.phase, self.compiles = message["name"], bool(message.get("compiles"))
            self.messages[f"{event} {message['kind']}" if "kind" in message else event] = message
            self._on_event(self.job.case, message)
            if event in events:
                return message

    def hand_baton(self, **content: Any) -> None:
        """Hand the baton to the worker, so that it goes on.

        Raises:
            WorkerDied: it has ended.
        """
        try:
            self._channel.send(**content)
        except OSError:
            raise WorkerDied(self._build_failure(None)) from None

    def end(self, timeout: float = END_TIMEOUT) -> None:
        """Wait until the worker has saved its files and ended.

        Raises:
            WorkerDied: it ended with a failure, or not in time.
        """
        try:
            status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._die_hung(f"did not end in {timeout:.0f} s")
        self._channel.close()
        if status:
            raise WorkerDied(self._build_failure(None))

    def abort(self, reason: str) -> NoReturn:
        """Kill the worker, with `reason` as its failure.

        Raises:
            WorkerDied: always.
        """
        self.kill()
        raise WorkerDied(self._build_failure(reason))

    def kill(self) -> None:
        """Kill the worker and its children. Killing a dead worker has no effect."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._channel.close()

    def _die_hung(self, reason: str) -> NoReturn:
        """Read the stacks of a hung worker, and kill it.

        Raises:
            WorkerDied: always.
        """
        lines = tuple(
            map(shorten_paths, choose_last_lines(self._read_lines()))
        )  # before the stacks are written below them
        stacks = self._read_stacks()
        self.kill()
        failure = self._build_failure(f"{reason}, killed")
        raise WorkerDied(failure.model_copy(update={"stacks": stacks, "last_lines": lines})) from None

    def _build_failure(self, reason: str | None) -> Failure:
        """The failure with this reason; without one, the reason that the worker sent or its exit status.

        It goes into records and reports, so that its texts have no escape sequences and only the last parts of paths.
        """
        ended_itself = reason is None
        if ended_itself:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)  # it closed the channel, so it is about to end
            self.kill()
        last_lines = tuple(map(shorten_paths, choose_last_lines(self._read_lines())))
        if died := self.messages.get("peer died"):
            reason = f"process {died['rank']} of {died['size']}"
            if died["status"] is None:
                reason += f", on node {died['node']}: its connection was closed: see what that node says"
            else:
                reason += f": {explain_death(died['status'], None, last_lines)}"
        elif ended_itself:
            sent = self.messages.get("failed", {}).get("reason")
            sent = shorten_paths(strip_escapes(sent)) if sent else None
            reason = explain_death(self.process.returncode, sent, last_lines)
        reason = str(reason)
        if OUT_OF_MEMORY.search(reason) or (KILLED in reason and count_out_of_memory_kills() > self._kills_before):
            size = f" at {self.peak / MB:,.0f} MB" if self.peak else ""
            reason = (
                f"{NO_MEMORY}{size}: {reason}: free some, or use a smaller --batch-size (bench fit finds the largest), "
                "or one worker at a time: bench run --isolated"
            )
        elif (disk := try_read(lambda: shutil.disk_usage(self.job.folder))) and disk.free < MIN_FREE_DISK:
            reason += ": the disk of temporary files is full: free space there, or set TMPDIR"
        return Failure(phase=self.phase, reason=reason, last_lines=last_lines, peak=self.peak)

    def _read_lines(self) -> list[str]:
        text = try_read(lambda: self._log.read_text(encoding="utf-8", errors="replace"))
        return strip_escapes(text or "").splitlines()

    def _update_peak(self) -> None:
        """Read the worker's peak memory, which can no longer be read after it was killed."""
        peak = memory.read_peak_bytes(Path("/proc") / str(self.process.pid) / "status")
        self.peak = max(filter(None, (self.peak, peak)), default=None)

    def _read_stacks(self) -> tuple[str, ...]:
        """Let a hung worker write the stacks of all its threads, and read them."""
        if DUMP_STACKS_SIGNAL is None:
            return ()
        before = len(self._read_lines())
        for pid in (self.process.pid, *self.messages.get("peers", {}).get("pids", ())):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, DUMP_STACKS_SIGNAL)
        time.sleep(STACKS_SECONDS)
        return tuple(map(shorten_paths, self._read_lines()[before:][:STACK_LINES]))


def _list_program(job: AnyJob) -> list[str]:
    """The arguments of Python that start a worker; that of another project's test must not find this suite's folder."""
    return [str(TARGET_WORKER)] if isinstance(job, TargetJob) else ["-m", "bench.worker"]
