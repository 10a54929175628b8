"""A process of the yardsticks at the other end of a baton: started, spoken to, and never left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys

from bench.machine.environment import PROJECT
from bench.measure.worker_environment import build_environment
from bench.worker.channel import Channel, Message
from bench.worker.job import Job

TIMEOUT = 300.0


class PartnerDied(Exception):
    """It ended before it should have; the message has its last lines."""


class Partner:
    """`python -m MODULE JOB.json` in the environment of a worker of `job`, holding the other end of a channel."""

    def __init__(self, job: Job, module: str) -> None:
        """Start it on the job's file, which has the number of its end."""
        ours, theirs = socket.socketpair()
        job = job.model_copy(update={"descriptor": theirs.fileno()})
        file = job.folder / f"{module}.json"
        file.write_text(job.model_dump_json())
        self._log = job.folder / f"{module}.txt"
        self._channel = Channel(ours)
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(file)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env=build_environment(job),
                cwd=PROJECT,
                start_new_session=True,
            )
        theirs.close()

    def __enter__(self) -> Partner:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()
        if self._process.returncode is not None:
            return  # its number may be another's by now
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def hand_baton(self, **content: object) -> None:
        """Let it go on."""
        with contextlib.suppress(OSError):  # `wait_for` will find it dead
            self._channel.send(**content)

    def wait_for(self, *events: str) -> Message:
        """The next message that is one of `events`.

        Raises:
            PartnerDied: there is none to come, or none came in `TIMEOUT` seconds.
        """
        while True:
            try:
                message = self._channel.receive(TIMEOUT)
            except TimeoutError:
                message = None
            if message is None or message["event"] == "failed":
                lines = self._log.read_text(errors="replace").splitlines()
                raise PartnerDied("\n".join(["a process of the yardsticks died:", *lines[-12:]]))
            if message["event"] in events:
                return message
