"""The rendezvous: where the machines of a run meet. Node 0 measures; the others follow it with peers of their own.

Every node prepares the tasks from its own images and weights, by the same options. Node 0 compares what they have
before anything is measured, and then tells the followers of each case: its job, and where its worker waits for their
peers (see `bench.worker.peers`).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from bench.errors import UserError
from bench.measure.run import RunWatcher
from bench.plan.plan import Plan
from bench.plan.prepared_task import PreparedTask
from bench.worker import node_connection
from bench.worker.channel import Message
from bench.worker.job import Job

#: Seconds that the other nodes may take to come, by default.
TIMEOUT = 300.0


@dataclass(frozen=True)
class Rendezvous:
    """Where and how many machines meet.

    Attributes:
        host, port: of node 0, which listens there and at no other address.
        nodes: number of machines.
        node: the number of this one, from 0.
        timeout: seconds that the others may take to come.
    """

    host: str
    port: int
    nodes: int
    node: int
    timeout: float = TIMEOUT

    @property
    def address(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    def check(self) -> None:
        """Check that the numbers are possible, and that there is a token.

        Raises:
            UserError: they are not, or there is none.
        """
        if not 0 <= self.node < self.nodes:
            raise UserError(f"--node-rank {self.node}: the {self.nodes} nodes have the numbers 0 to {self.nodes - 1}")
        if not node_connection.read_token():
            raise UserError(
                f"--rendezvous {self.address}: set {node_connection.TOKEN} to the same secret word on all nodes, as in "
                f"export {node_connection.TOKEN}=$(openssl rand -hex 16)"
            )


def describe_tasks(plan: Plan) -> list[tuple[str, str, str, str]]:
    """What has to be equal on all nodes: of each task its name, its hash, and those of images and weights."""
    return [(one.task.name, one.task.hash, one.dataset.fingerprint, one.checkpoint.sha256) for one in plan.tasks]


def explain_difference(node: int, mine: Sequence[tuple[str, ...]], theirs: Sequence[tuple[str, ...]]) -> str | None:
    """Explain how the tasks of another node differ from those of node 0; None if they do not."""
    if [name for name, *_ in mine] != [name for name, *_ in theirs]:
        return f"node {node} has other tasks: start it with the same options"
    for (name, *own), (_, *other) in zip(mine, theirs, strict=True):
        for what, first, second in zip(("fields", "images", "weights"), own, other, strict=True):
            if first != second:
                return f"node {node} has other {what} of {name} ({second} instead of {first}): give all nodes the same"
    return None


class Followers:
    """The other nodes, from node 0's side."""

    def __init__(self, connections: Sequence[Connection]) -> None:
        self._connections = connections
        self._jobs: dict[str, Job] = {}

    def note_jobs(self, jobs: Sequence[Job]) -> None:
        """Note the jobs of a launch."""
        self._jobs |= {job.case: job for job in jobs}

    def note_event(self, case: str, message: Message) -> None:
        """Tell the other nodes where a case's worker waits for their peers, if it does."""
        if message["event"] == "awaits peers":
            for connection in self._connections:
                with contextlib.suppress(OSError):  # a node that has died: the worker waits for it in vain
                    connection.send(("job", self._jobs[case].model_dump_json(), message["host"], message["port"]))

    def end(self) -> None:
        """Tell the other nodes that the run is over."""
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.send(("over",))
            connection.close()


class FollowedWatcher(RunWatcher):
    """Passes the progress of a run on, and lets the other nodes follow it."""

    def __init__(self, watcher: RunWatcher, followers: Followers) -> None:
        self._watcher, self._followers = watcher, followers

    def start_launch(self, prepared: PreparedTask, launch: int, jobs: Sequence[Job]) -> None:
        """See `RunWatcher.start_launch`."""
        self._followers.note_jobs(jobs)
        self._watcher.start_launch(prepared, launch, jobs)

    def on_event(self, case: str, message: Message) -> None:
        """See `Watcher.on_event`."""
        self._followers.note_event(case, message)
        self._watcher.on_event(case, message)

    def on_round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """See `Watcher.on_round`."""
        self._watcher.on_round(case, kind, number, of, images_per_second)


@contextmanager
def open_followers(rendezvous: Rendezvous | None, plan: Plan) -> Iterator[Followers]:
    """Wait for the other nodes; they are told at the end of the block that the run is over. Without a rendezvous there
    are none.

    Raises:
        UserError: one did not come in time, or has other tasks; or the address cannot be listened at.
    """
    followers = Followers(_await_nodes(rendezvous, plan) if rendezvous else ())
    try:
        yield followers
    finally:
        followers.end()


def _await_nodes(rendezvous: Rendezvous, plan: Plan) -> list[Connection]:
    deadline = time.monotonic() + rendezvous.timeout
    connections: dict[int, Connection] = {}
    mine = describe_tasks(plan)
    try:
        server = node_connection.listen(rendezvous.host, rendezvous.port)
    except OSError as error:
        raise UserError(
            f"--rendezvous {rendezvous.address} cannot be listened at ({error.strerror or error}): give an address of "
            "node 0 with a free port"
        ) from None
    try:
        with server:
            while len(connections) < rendezvous.nodes - 1:
                connection = node_connection.accept(server, deadline)
                try:
                    node, theirs = connection.recv()
                except (EOFError, OSError):  # it has ended meanwhile
                    continue
                problem = explain_difference(node, mine, theirs)
                if node in connections or not 0 < node < rendezvous.nodes:
                    problem = f"two nodes have --node-rank {node}: give each its own"
                connection.send(("refused", problem) if problem else ("welcome",))
                connections[node] = connection
                if problem:
                    raise UserError(problem)
    except TimeoutError:
        missing = [str(node) for node in range(1, rendezvous.nodes) if node not in connections]
        _close(connections)
        raise UserError(
            f"--rendezvous {rendezvous.address}: node {', '.join(missing)} did not come in {rendezvous.timeout:g} s: "
            "start it with the same options, or wait longer with --rendezvous-timeout"
        ) from None
    except BaseException:
        _close(connections)
        raise
    return [connections[node] for node in sorted(connections)]


def _close(connections: dict[int, Connection]) -> None:
    for connection in connections.values():
        connection.close()
