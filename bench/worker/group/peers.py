"""The peers: the other processes of a case that trains on several devices, from the worker's side.

To the conductor, the processes of a case are one worker: process 0, which is the only one that talks to it. Each call
that process 0 makes is sent to the peers, which make it too; a call is over when all processes have made it.
"""

from __future__ import annotations

import contextlib
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import numpy as np

from backends.base import Backend
from backends.values import Group
from bench.machine import core_shares
from bench.worker.baton import Baton
from bench.worker.group import node_connection, peer_messages
from bench.worker.group.peer_failure import PeerFailed
from bench.worker.group.process_shares import ProcessShare, make_shares
from bench.worker.job import Job

Value = TypeVar("Value")
#: The module that a peer's process runs.
PEER = "bench.worker.group.peer"
HOST = "127.0.0.1"
#: Ports for the processes' meeting: below those that Linux gives to connections (ip(7), ip_local_port_range).
PORTS = range(20_000, 32_000)
#: Attempts at a meeting whose port another program took between its choice and its use.
MEETING_TRIES = 3
#: How errors of the frameworks' libraries name a port that is taken.
PORT_TAKEN = ("EADDRINUSE", "address already in use", "Address already in use", "Failed to bind")
#: Seconds that a failed call waits for the news that a peer has died, which may be why it failed.
NEWS_SECONDS = 2.0
#: Seconds that the peers of other machines may take to come, once their nodes have met.
NODE_SECONDS = 120.0
#: Seconds that the peers may take to end after their last call.
END_SECONDS = 20.0
#: Draws of neighbouring ports until it is said that none are free.
PORT_TRIES = 1_000
#: The exit status of a peer that ends because process 0 is gone, which is no failure of its own.
WITHOUT_PROCESS_0 = 75


class Peers:
    """The peers of this process; none if the case trains on one device.

    Attributes:
        share: this process' own.
        size, nodes: number of processes of the case, and of machines that they are on.
        known: arrays that the peers have under the same names.
    """

    def __init__(self, job: Job, baton: Baton) -> None:
        shares = make_shares(job.variant, job.nodes, job.node)
        self.share = shares[0]
        self.size, self.nodes = job.variant.devices or 1, job.nodes
        self.known: dict[str, np.ndarray] = {}
        self._job, self._baton, self._shares = job, baton, shares
        self._connections: list[Connection] = []
        self._processes: list[subprocess.Popen] = []
        self._ending = threading.Event()
        if self.size > 1:
            core_shares.bind(self.share.cores)
            self._start()

    @property
    def pids(self) -> frozenset[int]:
        """Their process numbers, of those on this machine."""
        return frozenset(process.pid for process in self._processes)

    def make_calls(self, own: Callable[[], Value], name: str, *arguments: object) -> list[Value]:
        """Make a call in all processes; returns what each process' call returned, in the order of the ranks.

        Args:
            own: makes the call in this process.
            name, arguments: the request to the peers, see `bench.worker.group.peer`.

        Raises:
            PeerFailed: a peer could not make it.
        """
        if not self._connections:
            return [own()]
        self._send(name, *arguments)
        try:
            mine = own()
        except Exception:
            time.sleep(NEWS_SECONDS)  # if the reason is a peer's death, its watch ends this process
            raise
        return [mine, *(self._receive(rank) for rank in range(1, self.size))]

    def list_cores(self) -> Sequence[core_shares.Cores]:
        """List the cores that each process of this machine may run on, as the system reports them."""
        found = self.make_calls(lambda: tuple(core_shares.list_usable_cores()), "list_cores")
        return found[: len(self._shares)]

    def call(self, own: Callable[[], Value], name: str, *arguments: object) -> Value:
        """Make a call in all processes; returns what this process' call returned."""
        return self.make_calls(own, name, *arguments)[0]

    def join(self, backend: Backend) -> None:
        """Let all processes join the group, at a port that is free."""
        if self.size == 1 or self.share.apart:
            return
        for attempt in range(MEETING_TRIES):
            host = self._job.host or HOST
            address = f"{host}:{find_free_ports(self.size, host)}"
            group = Group(0, self.size, address, 0)
            export_group(group)
            self._send("join", address)
            try:
                backend.join(group, self.share.variant)
            except Exception as error:
                if attempt + 1 == MEETING_TRIES or not any(words in str(error) for words in PORT_TAKEN):
                    time.sleep(NEWS_SECONDS)
                    raise
                self._restart()
            else:
                for rank in range(1, self.size):
                    self._receive(rank)
                return

    def keep(self, **arrays: np.ndarray) -> None:
        """Let the peers keep arrays that are not in the job's files, so that they are sent only once."""
        self.call(lambda: None, "keep", arrays)
        self.known |= arrays

    def end(self, backend: Backend) -> None:
        """Let all processes leave the group, and wait until the peers have ended."""
        if self._connections:
            self._ending.set()
            self.call((lambda: None) if self.share.apart else backend.leave, "leave")
            for process in self._processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(END_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the peers at once."""
        self._ending.set()
        for process in self._processes:
            process.kill()
            process.wait()
        for connection in self._connections:
            node_connection.shut_down(connection)  # its watch, which has the same socket, ends
            connection.close()
        self._processes, self._connections = [], []

    def _start(self) -> None:
        self._ending = ending = threading.Event()  # of these peers: their watches may outlast a restart
        for share in self._shares[1:]:
            ours, theirs = socket.socketpair()
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    PEER,
                    *_list_arguments(self._job, share, theirs.fileno()),
                ],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
            theirs.close()
            self._processes.append(process)
            self._connections.append(Connection(ours.detach()))
            threading.Thread(target=self._watch, args=(process, share.rank, ending), daemon=True).start()
        self._baton.send("peers", pids=sorted(self.pids))
        if self._job.nodes > 1:
            self._await_nodes()

    def _await_nodes(self) -> None:
        """Let the peers of the other machines connect."""
        with node_connection.listen(self._job.host) as server:
            self._baton.send("awaits peers", host=self._job.host, port=server.getsockname()[1])
            connected: dict[int, Connection] = {}
            deadline = time.monotonic() + NODE_SECONDS
            while len(connected) < self.size - len(self._shares):
                try:
                    connection = node_connection.accept(server, deadline)
                except TimeoutError:
                    raise PeerFailed(
                        f"{self.size - len(self._shares) - len(connected)} processes of other nodes did not come in "
                        f"{NODE_SECONDS:g} s: see what these nodes say"
                    ) from None
                try:
                    with node_connection.limit_time(connection, deadline):
                        greeting = connection.recv()
                except (EOFError, OSError):  # it has ended meanwhile: its node says so
                    connection.close()
                    continue
                if isinstance(greeting, str):
                    raise PeerFailed(greeting)
                connected[greeting] = connection
        for rank in sorted(connected):
            self._connections.append(connected[rank])
            watched = os.dup(connected[rank].fileno())
            threading.Thread(target=self._watch_connection, args=(watched, rank, self._ending), daemon=True).start()

    def _restart(self) -> None:
        """Start the peers anew: those that were to meet at a port that was taken wait there."""
        self.kill()
        self._start()
        self.call(lambda: None, "load")

    def _send(self, name: str, *arguments: object) -> None:
        for connection in self._connections:
            # One that has died is noticed by its watch, which ends this process.
            with contextlib.suppress(OSError):
                peer_messages.send(connection, (name, arguments), self.known)

    def _receive(self, rank: int) -> Any:
        try:
            kind, content = peer_messages.receive(self._connections[rank - 1], self.known)
        except (EOFError, OSError):
            time.sleep(NEWS_SECONDS)
            raise PeerFailed(f"process {rank} of {self.size} has closed its connection") from None
        if kind == "error":
            raise PeerFailed(f"process {rank} of {self.size}: {content}")
        return content

    def _watch(self, process: subprocess.Popen, rank: int, ending: threading.Event) -> None:
        """Wait for the end of a peer; if it comes too early, tell the conductor, and end all processes of the case."""
        self._end_without(rank, process.wait(), ending)

    def _watch_connection(self, watched: int, rank: int, ending: threading.Event) -> None:
        """The same for a peer on another machine, of which only the connection is seen: a descriptor of its own."""
        wait_for_death(watched)
        os.close(watched)
        self._end_without(rank, None, ending)

    def _end_without(self, rank: int, status: int | None, ending: threading.Event) -> None:
        if ending.is_set():
            return
        with contextlib.suppress(OSError):
            self._baton.send("peer died", rank=rank, size=self.size, status=status, node=rank // len(self._shares))
        os.killpg(os.getpgrp(), signal.SIGKILL)


def _list_arguments(job: Job, share: ProcessShare, descriptor: int) -> Sequence[str]:
    return [str(job.folder / "job.json"), str(descriptor), str(share.local_rank), ",".join(map(str, share.cores))]


def export_group(group: Group) -> None:
    """Set the variables that torchrun sets for a process (PyTorch, "torchrun", environment variables)."""
    host, _, port = group.address.rpartition(":")
    os.environ |= {
        "RANK": str(group.rank),
        "LOCAL_RANK": str(group.local_rank),
        "WORLD_SIZE": str(group.size),
        "MASTER_ADDR": host,
        "MASTER_PORT": port,
    }


def find_free_ports(number: int, host: str = HOST) -> int:
    """Find so many neighbouring ports that are free; returns the first. A framework may use one for each process.

    Args:
        host: one with an IPv4 address, which is of this machine.

    Raises:
        OSError: there are none, or the address is not of this machine.
    """
    for _ in range(PORT_TRIES):
        first = random.choice(PORTS)
        if all(_is_free(host, port) for port in range(first, first + number)):
            return first
    raise OSError(
        f"{host} has no {number} neighbouring ports that are free from {PORTS.start} to {PORTS.stop - 1}, or it is no "
        "address of this machine"
    )


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as one:
        try:
            one.bind((host, port))
        except OSError:
            return False
    return True


def wait_for_death(descriptor: int, parent: int | None = None) -> None:
    """Wait, without using the CPU, until the other end of a connection is closed or the parent process has died."""
    poll = select.poll()
    poll.register(descriptor, getattr(select, "POLLRDHUP", 0))
    if parent is not None:
        with contextlib.suppress(OSError, AttributeError):
            poll.register(os.pidfd_open(parent), select.POLLIN)
    if parent in (None, os.getppid()):
        poll.poll()
