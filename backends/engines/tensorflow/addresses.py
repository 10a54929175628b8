"""The addresses at which the processes of a group listen: TensorFlow wants each to know all before it starts."""

from __future__ import annotations

import socket
import threading
from multiprocessing.connection import Client, Connection, Listener

from backends.values import Group

#: Seconds between two tries to reach process 0, which may start later. The harness limits how long a group may take.
RETRY_SECONDS = 0.1


def exchange_addresses(group: Group) -> list[str]:
    """The addresses `HOST:PORT` of all processes, by rank: each tells process 0 its own, and process 0 tells them all.

    A port is free when it is chosen here; TensorFlow then listens at it.
    """
    host, _, port = group.address.rpartition(":")
    meeting = (host.strip("[]"), int(port))
    if group.rank:
        with _reach(meeting) as connection:
            connection.send((group.rank, _choose_address(_read_own_host(connection))))
            return connection.recv()
    addresses = {0: _choose_address(meeting[0])}
    with Listener(meeting, backlog=group.size) as listener:
        others = [listener.accept() for _ in range(group.size - 1)]
        addresses |= dict(other.recv() for other in others)
        every = [addresses[rank] for rank in range(group.size)]
        for other in others:
            other.send(every)
            other.close()
    return every


def _reach(meeting: tuple[str, int]) -> Connection:
    while True:
        try:
            return Client(meeting)
        except ConnectionRefusedError:
            threading.Event().wait(RETRY_SECONDS)


def _read_own_host(connection: Connection) -> str:
    """The address of this machine on the network that leads to process 0."""
    with socket.socket(fileno=socket.dup(connection.fileno())) as own:
        return own.getsockname()[0]


def _choose_address(host: str) -> str:
    with socket.create_server((host, 0)) as server:
        return f"{host}:{server.getsockname()[1]}"
