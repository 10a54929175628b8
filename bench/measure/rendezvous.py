"""The rendezvous: where the machines of a run meet. Node 0 measures; the others follow it with peers of their own.

Every node prepares the tasks from its own images and weights, by the same options. Node 0 compares what they have
before anything is measured, and then tells the followers of each case: its job, and where its worker waits for their
peers (see `bench.worker.group.peers`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait

import backends
from bench.errors import UserError
from bench.machine.backend_packages import read_version
from bench.machine.environment import PROJECT
from bench.measure.run import RunWatcher
from bench.plan.plan import Plan
from bench.plan.prepared_task import PreparedTask
from bench.records.digest import compute_digest
from bench.worker.channel import Message
from bench.worker.group import node_connection
from bench.worker.job import Job

#: Seconds that the other nodes may take to come, by default.
TIMEOUT = 300.0
#: Seconds that it may take to tell a worker of this machine that peers will not come.
REFUSAL_SECONDS = 5.0
#: What the other nodes say after Ctrl-C on node 0.
STOPPED = "node 0 was stopped before the run was over"
SAME_OPTIONS = "start all nodes with the same options"
#: What to do about a difference between two nodes, by how it begins.
ADVICE = {
    "the version": "install the same on all nodes",
    "the code": "check out the same revision on all nodes, and see whether `git status` names changes in one",
    "the images": "give all nodes the same images",
    "the weights": "give all nodes the same weights",
}


#: The folders with the code, of whose files the nodes compare a digest: clones of one version may differ.
CODE = ("backends", "bench")


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
        """Check that the numbers are possible, that the host has an IPv4 address, and that there is a token.

        Raises:
            UserError: one of it is not so.
        """
        if not 0 <= self.node < self.nodes:
            raise UserError(f"--node-rank {self.node}: the {self.nodes} nodes have the numbers 0 to {self.nodes - 1}")
        try:
            socket.getaddrinfo(self.host, self.port, socket.AF_INET, socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no name of a host"
            raise UserError(
                f"--rendezvous {self.address}: {self.host} has no IPv4 address ({reason}): give an IPv4 "
                "address of node 0"
            ) from None
        if not node_connection.read_token():
            raise UserError(
                f"--rendezvous {self.address}: set {node_connection.TOKEN} to the same secret word on all nodes, as in "
                f"export {node_connection.TOKEN}=$(openssl rand -hex 16)"
            )


def describe_node(plan: Plan) -> dict[str, str]:
    """Describe what has to be equal on all nodes: versions, code, cases, and each task's fields, images and weights."""
    entries = [backends.REGISTRY[backend] for backend in plan.backends]
    names = [name for entry in entries for name in (entry.distribution, *entry.versions) if name]
    versions = {name: read_version(name) or "" for name in ("head-to-head", *names)}
    code = "".join(compute_digest(PROJECT / folder) for folder in CODE)
    cases = dict.fromkeys(f"{name}/{variant.name}" for task in plan.tasks for name, variant in plan.cases(task))
    described = {
        "the number of nodes": str(plan.nodes),
        "the version of Python": platform.python_version(),
        **{f"the version of {name}": version for name, version in versions.items()},
        "the code of head-to-head": hashlib.sha256(code.encode()).hexdigest()[:12],
        "the tasks": ", ".join(one.task.name for one in plan.tasks),
        "the cases": ", ".join(cases),
    }
    for number, one in enumerate(plan.tasks, start=1):
        name = f"task {number}, {one.task.name}"
        described |= {
            f"the fields of {name}": one.task.hash,
            f"the images of {name}": one.dataset.fingerprint,
            f"the weights of {name}": one.checkpoint.sha256,
        }
    return described


def explain_difference(node: int, mine: Mapping[str, str], theirs: Mapping[str, str]) -> str | None:
    """Explain how another node differs from node 0, by what `describe_node` gives for both; None if it does not."""
    for what, own in mine.items():
        other = theirs.get(what)
        if other != own:
            advice = next((advice for start, advice in ADVICE.items() if what.startswith(start)), SAME_OPTIONS)
            return f"node {node} differs from node 0 in {what} ({other or 'none'} instead of {own or 'none'}): {advice}"
    return None


class Followers:
    """The other nodes, from node 0's side."""

    def __init__(self, connections: Mapping[int, Connection]) -> None:
        self._connections = dict(connections)
        self._jobs: dict[str, Job] = {}

    def check_alive(self) -> None:
        """Check that no node has ended: no case can then be trained on all of them.

        Raises:
            UserError: one has.
        """
        if ended := self._find_ended():
            raise UserError(f"{describe_ended(ended)}: see what it says, and start all nodes again")

    def note_jobs(self, jobs: Sequence[Job]) -> None:
        """Note the jobs of a launch.

        Raises:
            UserError: a node has ended.
        """
        self.check_alive()
        self._jobs |= {job.case: job for job in jobs}

    def note_event(self, case: str, message: Message) -> None:
        """Tell the other nodes where a case's worker waits for their peers, if it does."""
        if message["event"] != "awaits peers":
            return
        where = message["host"], message["port"]
        for connection in self._connections.values():
            with contextlib.suppress(OSError):  # it has ended: its peers are refused below
                connection.send(("job", self._jobs[case].model_dump_json(), *where))
        if ended := self._find_ended():
            node_connection.send_refusal(*where, describe_ended(ended), time.monotonic() + REFUSAL_SECONDS)

    def end(self, problem: str | None = None) -> None:
        """Tell the other nodes that the run is over, or which problem has ended it; the first call counts."""
        _end_connections(self._connections, ("refused", problem) if problem else ("over",))
        self._connections = {}

    def _find_ended(self) -> list[int]:
        """The nodes that have ended: they send nothing, so that what can be read is the end of their connection."""
        ready = wait(list(self._connections.values()), 0)
        return [node for node, connection in self._connections.items() if connection in ready]


def describe_ended(nodes: Sequence[int]) -> str:
    """Describe which nodes have ended."""
    return f"node {', '.join(map(str, nodes))} has ended before the run was over"


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
    """Wait for the other nodes; there are none without a rendezvous. At the end of the block they learn that the run is
    over, or what has ended it.

    Raises:
        UserError: one did not come in time, or has other tasks; or the address cannot be listened at.
    """
    followers = Followers(_await_nodes(rendezvous, plan) if rendezvous else {})
    try:
        yield followers
    except UserError as error:
        followers.end(str(error))
        raise
    except KeyboardInterrupt:
        followers.end(STOPPED)
        raise
    except BaseException as error:
        followers.end(f"node 0 has ended before the run was over ({type(error).__name__}): see what it says")
        raise
    followers.end()


def _await_nodes(rendezvous: Rendezvous, plan: Plan) -> dict[int, Connection]:
    deadline = time.monotonic() + rendezvous.timeout
    connections: dict[int, Connection] = {}
    mine, strangers = describe_node(plan), 0

    def note_stranger() -> None:
        nonlocal strangers
        strangers += 1

    try:
        server = node_connection.listen(rendezvous.host, rendezvous.port)
    except OSError as error:
        raise UserError(
            f"--rendezvous {rendezvous.address} cannot be listened at ({_explain_listening(error)}): give an "
            "address of node 0 with a free port"
        ) from None
    try:
        with server:
            while len(connections) < rendezvous.nodes - 1:
                connection = node_connection.accept(server, deadline, note_stranger)
                try:
                    with node_connection.limit_time(connection, deadline):
                        theirs = json.loads(connection.recv_bytes())
                except (EOFError, OSError, ValueError):  # it has ended meanwhile
                    connection.close()
                    continue
                node = theirs.pop("node")
                problem = explain_difference(node, mine, theirs)
                if not problem and (node in connections or not 0 < node < rendezvous.nodes):
                    problem = f"two nodes have --node-rank {node}: give each its own"
                with contextlib.suppress(OSError):
                    connection.send(("refused", problem) if problem else ("welcome",))
                if problem:
                    connection.close()
                    raise UserError(problem)
                connections[node] = connection
    except TimeoutError:
        missing = [str(node) for node in range(1, rendezvous.nodes) if node not in connections]
        _end_connections(connections, ("refused", f"node {', '.join(missing)} did not come"))
        turned_away = f" ({strangers} with another {node_connection.TOKEN} was turned away)" if strangers else ""
        raise UserError(
            f"--rendezvous {rendezvous.address}: node {', '.join(missing)} did not come in {rendezvous.timeout:g} s"
            f"{turned_away}: start it with the same options, or wait longer with --rendezvous-timeout"
        ) from None
    except UserError as error:
        _end_connections(connections, ("refused", str(error)))
        raise
    except BaseException:
        _end_connections(connections, ("refused", "node 0 was stopped before all nodes had come"))
        raise
    return {node: connections[node] for node in sorted(connections)}


def _explain_listening(error: OSError) -> str:
    """The system's words for why an address cannot be listened at, without the address that Python adds to them."""
    if error.errno and not isinstance(error, socket.gaierror):
        return os.strerror(error.errno)
    return str(error.strerror or error)


def _end_connections(connections: Mapping[int, Connection], last_message: tuple[str, ...]) -> None:
    for connection in connections.values():
        with contextlib.suppress(OSError):
            connection.send(last_message)
        connection.close()
