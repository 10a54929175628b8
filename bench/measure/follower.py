"""A follower: a node of a run on several machines that does not measure. It starts the peers that node 0 asks for."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, wait
from pathlib import Path

from bench.errors import UserError
from bench.machine.environment import PROJECT
from bench.measure.case_job import write_images
from bench.measure.rendezvous import Rendezvous, describe_tasks
from bench.measure.scratch_folder import make_scratch_folder
from bench.measure.worker_environment import build_environment, write_keras_configuration
from bench.plan.plan import Plan
from bench.worker import node_connection
from bench.worker.job import Job
from bench.worker.process_shares import count_local_processes

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
    connection = _connect(rendezvous)
    with connection, make_scratch_folder() as folder:
        connection.send((rendezvous.node, describe_tasks(plan)))
        node = _Node(rendezvous, plan, folder, say)
        try:
            node.serve(connection)
        except (EOFError, OSError):
            raise UserError("node 0 has ended before the run was over: see what it says") from None
        finally:
            node.kill()


def _connect(rendezvous: Rendezvous) -> Connection:
    try:
        return node_connection.connect(rendezvous.host, rendezvous.port, time.monotonic() + rendezvous.timeout)
    except TimeoutError:
        raise UserError(
            f"--rendezvous {rendezvous.address}: node 0 did not answer in {rendezvous.timeout:g} s: start it with "
            "--node-rank 0, or wait longer with --rendezvous-timeout"
        ) from None
    except AuthenticationError:
        raise UserError(
            f"--rendezvous {rendezvous.address}: node 0 has another {node_connection.TOKEN}: give all nodes the same"
        ) from None


class _Node:
    """The peers of this node, and what they need of its own."""

    def __init__(self, rendezvous: Rendezvous, plan: Plan, folder: Path, say: Callable[[str], object]) -> None:
        self._rendezvous, self._plan, self._folder, self._say = rendezvous, plan, folder, say
        self._peers: list[tuple[str, subprocess.Popen]] = []
        self._images: dict[str, Path] = {}
        self._jobs = 0

    def serve(self, connection: Connection) -> None:
        """Start peers as node 0 asks for them, until the run is over."""
        while True:
            if wait([connection], LOOK_SECONDS):
                kind, *content = connection.recv()
                if kind == "over":
                    return
                if kind == "refused":
                    raise UserError(str(content[0]))
                if kind == "job":
                    self._start(*content)
            self._look()

    def kill(self) -> None:
        """End all peers."""
        for _, process in self._peers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def _start(self, text: str, host: str, port: int) -> None:
        job = self._localise(Job.model_validate_json(text))
        write_keras_configuration(job)
        file = job.folder / "job.json"
        file.write_text(job.model_dump_json(), encoding="utf-8")
        for local_rank in range(count_local_processes(job.variant, job.nodes)):
            with (job.folder / f"peer-{local_rank}.txt").open("wb") as output:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "bench.worker.peer", str(file), f"{host}:{port}", str(local_rank)],
                    cwd=PROJECT,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=build_environment(job),
                    start_new_session=True,
                )
            self._peers.append((f"{job.case}, process {local_rank} of this node", process))
        self._say(f"{job.label}: {len(self._peers)} processes follow node 0")

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
        """Say how peers have ended that failed, and forget those that have ended."""
        for name, process in self._peers:
            if process.poll():
                self._say(f"{name} ended with status {process.returncode}")
        self._peers = [(name, process) for name, process in self._peers if process.returncode is None]
