"""A peer: one of the other processes of a case that trains on several devices. It makes the calls of process 0.

`python -m bench.worker.group.peer JOB.json DESCRIPTOR LOCAL_RANK CORES`, or `HOST:PORT` in place of the descriptor, and
no cores, if process 0 is on another machine. The cores are given because a process inherits those of its parent. A
request is the name of a method of `PeerSession` and its arguments; the answer is `("result", value)`, or `("error",
line)`, after which the peer ends.
"""

from __future__ import annotations

import faulthandler
import os
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

import backends
from backends.base import Backend, Trainer, Training
from backends.values import Group, Head, Order
from bench.data.image_file import read_image_file
from bench.machine import core_shares, memory
from bench.machine.core_shares import Cores
from bench.machine.hidden_packages import hide_packages
from bench.records.record import Phase
from bench.weights.exported_files import read_weights
from bench.worker.group import node_connection, peer_messages
from bench.worker.group.peers import NODE_SECONDS, WITHOUT_PROCESS_0, export_group, wait_for_death
from bench.worker.group.process_shares import make_shares
from bench.worker.job import Job
from bench.worker.lifeline import DUMP_STACKS_SIGNAL

#: Methods of a trainer whose value process 0 needs of every process.
ANSWERED = ("step", "loss_and_gradient", "head", "device_memory")


class PeerSession:
    """The case in a peer: the same objects as in process 0, on which the same methods are called."""

    backend: Backend
    trainer: Trainer

    def __init__(self, job: Job, local_rank: int, cores: Cores | None = None) -> None:
        self.job = job
        self.share = make_shares(job.variant, job.nodes, job.node)[local_rank]
        core_shares.bind(cores or self.share.cores)
        self.known: dict[str, np.ndarray] = {}
        self.trainings: dict[int, Training] = {}
        self.phases = memory.PhaseRecorder()

    def list_cores(self) -> Cores:
        """List the cores that this process may run on."""
        return tuple(core_shares.list_usable_cores())

    def load(self) -> None:
        """Import the framework."""
        self.backend = backends.load(self.job.backend)

    def join(self, address: str) -> None:
        """Join the group."""
        group = Group(self.share.rank, self.job.variant.devices or 1, address, self.share.local_rank)
        export_group(group)
        self.backend.join(group, self.share.variant)

    def read_data(self) -> None:
        """Read the images and the checkpoint."""
        self.known |= read_image_file(self.job.data)
        self.checkpoint = read_weights(self.job.checkpoint, self.job.task)

    def build(self, head: Head) -> None:
        """Build the trainer."""
        task = self.share.take_task(self.job.task)
        self.trainer = self.backend.build(task, self.share.variant, self.checkpoint, head)

    def keep(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Keep arrays that are not in the job's files, so that they are sent only once."""
        self.known |= arrays

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a method of the trainer."""
        value = getattr(self.trainer, name)(*arguments)
        return value if name in ANSWERED else None

    def start(self, number: int, name: str, images: np.ndarray, labels: np.ndarray, order: Order) -> None:
        """Start a training, which has a number from now on."""
        self.trainings[number] = getattr(self.trainer, name)(images, labels, self.share.take_order(order))

    def advance(self, number: int, steps: int) -> float:
        """Advance a training."""
        return self.trainings[number].advance(steps)

    def close(self, number: int) -> None:
        """Close a training, and forget it: what it holds is freed, as in process 0."""
        if training := self.trainings.pop(number, None):
            training.close()

    def end_phase(self, name: str, children: bool) -> Phase:
        """End a phase of the memory's record."""
        self.phases.end(name, children)
        return self.phases.ended[-1]

    def reset_peak(self) -> None:
        """Reset the peak of the memory."""
        memory.reset_peak()

    def leave(self) -> None:
        """Leave the group."""
        if not self.share.apart:
            self.backend.leave()


def serve(session: PeerSession, connection: Connection) -> int:
    """Answer requests until process 0 has closed its end, or a call has failed; returns the exit status."""
    while True:
        try:
            name, arguments = peer_messages.receive(connection, session.known)
        except (EOFError, OSError):
            return 0
        try:
            answer = ("result", getattr(session, name)(*arguments))
        except Exception as error:  # whatever a framework raises
            traceback.print_exc()
            sys.stderr.flush()
            answer = ("error", f"{type(error).__name__}: {error}".splitlines()[0])
        try:
            peer_messages.send(connection, answer, session.known)
        except OSError:
            return 0
        if answer[0] == "error":
            return 1
        if name == "leave":
            return 0


def _end_with(descriptor: int, parent: int, scratch: Path | None) -> None:
    """End this process as soon as process 0, or the parent, has died.

    Args:
        scratch: to be removed if the parent has died, which cannot do it then.
    """
    wait_for_death(descriptor, parent)
    if scratch and os.getppid() != parent:
        shutil.rmtree(scratch, ignore_errors=True)
    os._exit(WITHOUT_PROCESS_0)


def connect(where: str, rank: int) -> Connection:
    """Connect to process 0: by a descriptor, or by `HOST:PORT` and a greeting with the rank.

    Raises:
        TimeoutError: it does not answer.
    """
    host, colon, port = where.rpartition(":")
    if not colon:
        return Connection(int(where))
    connection = node_connection.connect(host, int(port), time.monotonic() + NODE_SECONDS)
    connection.send(rank)
    return connection


def main(job_file: str, where: str, local_rank: str, cores: str = "") -> int:
    """Run a peer; returns its exit status."""
    if DUMP_STACKS_SIGNAL is not None:
        faulthandler.register(DUMP_STACKS_SIGNAL, all_threads=True)
    job = Job.model_validate_json(Path(job_file).read_text(encoding="utf-8"))
    entry = backends.REGISTRY[job.backend]
    hide_packages(entry.hides, entry.packages)
    session = PeerSession(job, int(local_rank), tuple(map(int, filter(None, cores.split(",")))))
    connection = connect(where, session.share.rank)
    watched = os.dup(connection.fileno())
    scratch = job.scratch if job.node else None  # on node 0 the worker removes it
    threading.Thread(target=_end_with, args=(watched, os.getppid(), scratch), daemon=True).start()
    return serve(session, connection)


if __name__ == "__main__":
    status = main(*sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
