"""A follower: a node of a run on several machines that does not measure. It starts the peers that node 0 asks for."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, wait
from pathlib import Path

from bench.errors import UserError
from bench.machine.environment import PROJECT
from bench.measure.case_job import write_images
from bench.measure.rendezvous import Rendezvous, describe_node
from bench.measure.scratch_folder import make_scratch_folder
from bench.measure.worker_death import explain_death
from bench.measure.worker_environment import build_environment, write_keras_configuration
from bench.plan.plan import Plan
from bench.worker.group import node_connection
from bench.worker.group.peers import PEER, WITHOUT_PROCESS_0
from bench.worker.group.process_shares import count_local_processes
from bench.worker.job import Job

#: Seconds between two looks at whether peers have ended.
LOOK_SECONDS = 1.0


def follow(rendezvous: Rendezvous, plan: Plan, say: Callable[[str], object]) -> None:
    """Follow node 0 until the run is over.

    Args:
        plan: made from the same options as node 0's.
        say: receives lines about what happens.

    Raises:
        UserError: node 0 did not come in time, has another token or other tasks, or has ended too early.
    """
    description = json.dumps({"node": rendezvous.node, **describe_node(plan)}).encode()
    connection = _connect(rendezvous)
    with connection, make_scratch_folder() as folder:
        with _noticing_end():
            connection.send_bytes(description)
        node = _Node(rendezvous, plan, folder, say)
        try:
            node.serve(connection)
        finally:
            node.kill()


@contextlib.contextmanager
def _noticing_end() -> Iterator[None]:
    """A block in which nothing but the connection to node 0 is used.

    Raises:
        UserError: node 0 has closed it.
    """
    try:
        yield
    except (EOFError, OSError):
        raise UserError("node 0 has ended before the run was over: see what it says") from None


def _connect(rendezvous: Rendezvous) -> Connection:
    try:
        return node_connection.connect(rendezvous.host, rendezvous.port, time.monotonic() + rendezvous.timeout)
    except socket.gaierror as error:
        raise UserError(
            f"--rendezvous {rendezvous.address}: the host's name has no address ({error.strerror}): give the name or "
            "the address of node 0"
        ) from None
    except TimeoutError:
        raise UserError(
            f"--rendezvous {rendezvous.address}: node 0 did not answer in {rendezvous.timeout:g} s: start it with "
            "--node-rank 0, or wait longer with --rendezvous-timeout"
        ) from None
    except AuthenticationError:
        raise UserError(
            f"--rendezvous {rendezvous.address}: node 0 has another {node_connection.TOKEN}: give all nodes the same"
        ) from None


@dataclass(frozen=True)
class _NodePeer:
    """A peer of this node: the case that it trains, its output, and where the case's worker listens."""

    name: str
    process: subprocess.Popen
    output: Path
    host: str
    port: int

    def kill_session(self) -> None:
        """End it and all processes that it has started, which may outlive it."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # all have ended, or wait for their parent
            os.killpg(self.process.pid, signal.SIGKILL)


class _Node:
    """The peers of this node, and what they need of its own."""

    def __init__(self, rendezvous: Rendezvous, plan: Plan, folder: Path, say: Callable[[str], object]) -> None:
        self._rendezvous, self._plan, self._folder, self._say = rendezvous, plan, folder, say
        self._peers: list[_NodePeer] = []
        self._images: dict[str, Path] = {}
        self._jobs = 0

    def serve(self, connection: Connection) -> None:
        """Start peers as node 0 asks for them, until the run is over."""
        while True:
            ready = wait([connection], LOOK_SECONDS)
            self._look()  # also before the end: what failed is the reason for it
            if ready:
                with _noticing_end():
                    kind, *content = connection.recv()
                if kind == "over":
                    return
                if kind == "refused":
                    raise UserError(str(content[0]))
                if kind == "job":
                    self._start(*content)

    def kill(self) -> None:
        """End all peers."""
        for peer in self._peers:
            peer.kill_session()
            peer.process.wait()

    def _start(self, text: str, host: str, port: int) -> None:
        job = self._localise(Job.model_validate_json(text))
        write_keras_configuration(job)
        file = job.folder / "job.json"
        file.write_text(job.model_dump_json(), encoding="utf-8")
        number = count_local_processes(job.variant, job.nodes)
        for local_rank in range(number):
            file_of_output = job.folder / f"peer-{local_rank}.txt"
            with file_of_output.open("wb") as output:
                process = subprocess.Popen(
                    [
                        sys.executable,
                        "-P",
                        "-m",
                        PEER,
                        str(file),
                        f"{host}:{port}",
                        str(local_rank),
                    ],
                    cwd=PROJECT,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=build_environment(job),
                    start_new_session=True,
                )
            rank = job.node * number + local_rank
            name = f"process {rank} of {job.variant.devices}, on node {job.node}"
            self._peers.append(_NodePeer(f"{job.label}, {name}", process, file_of_output, host, port))
        self._say(f"{job.label}: {number} of {job.variant.devices} processes run on this node")

    def _localise(self, job: Job) -> Job:
        """The job with this node's own files."""
        prepared = next(one for one in self._plan.tasks if one.task.hash == job.task.hash)
        if job.task.hash not in self._images:
            (own := self._folder / job.task.hash).mkdir()
            self._images[job.task.hash] = write_images(prepared.dataset, own)
        self._jobs += 1
        (folder := self._folder / str(self._jobs)).mkdir()
        return job.model_copy(
            update={
                "data": self._images[job.task.hash],
                "checkpoint": prepared.checkpoint.folder.absolute(),
                "scratch": self._folder,
                "folder": folder,
                "node": self._rendezvous.node,
            }
        )

    def _look(self) -> None:
        """Say how peers have ended that failed, and forget those that have ended, with the processes they started."""
        for peer in self._peers:
            if (status := peer.process.poll()) is not None:
                peer.kill_session()
            if status and status != WITHOUT_PROCESS_0:
                lines = peer.output.read_text(encoding="utf-8", errors="replace").splitlines()
                reason = f"{peer.name}: {explain_death(status, None, lines)}"
                self._say(reason)
                node_connection.send_refusal(peer.host, peer.port, reason, time.monotonic() + LOOK_SECONDS)
        self._peers = [peer for peer in self._peers if peer.process.returncode is None]
