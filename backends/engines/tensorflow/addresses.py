"""The addresses at which the processes of a group listen: TensorFlow wants each to know all before it starts."""

from __future__ import annotations

import json
import socket
import threading
from typing import TextIO

from backends.values import Group

#: Seconds between two tries to reach process 0, which may start later. The harness limits how long a group may take.
RETRY_SECONDS = 0.1
#: Seconds that a process may take for its message, and the most characters of it: others reach the port, too.
READ_SECONDS, READ_CHARACTERS = 10.0, 1_000


def exchange_addresses(group: Group) -> list[str]:
    """The addresses `HOST:PORT` of all processes, by rank: each tells process 0 its own, and process 0 tells them all.

    A message is one line of JSON; who sends anything else is no process of the group. A port is free when it is chosen
    here; TensorFlow then listens at it.

    Raises:
        OSError: process 0 cannot listen at the group's address.
    """
    host, _, port = group.address.rpartition(":")
    if group.rank:
        with _reach(host, int(port)) as connection, connection.makefile("rw") as messages:
            _write(messages, [group.rank, _choose_address(connection.getsockname()[0])])
            return json.loads(messages.readline())
    addresses = {0: _choose_address(host)}
    connections: list[socket.socket] = []
    with socket.create_server((host, int(port)), backlog=group.size) as server:
        while len(addresses) < group.size:
            connection, _ = server.accept()
            member = _read_member(connection, range(1, group.size))
            if member is None or member[0] in addresses:
                connection.close()
            else:
                addresses[member[0]] = member[1]
                connections.append(connection)
    every = [addresses[rank] for rank in range(group.size)]
    for connection in connections:
        with connection, connection.makefile("w") as messages:
            _write(messages, every)
    return every


def _read_member(connection: socket.socket, ranks: range) -> tuple[int, str] | None:
    """Read the rank and the address of a process; None from someone else."""
    connection.settimeout(READ_SECONDS)
    try:
        with connection.makefile("r") as messages:
            rank, address = json.loads(messages.readline(READ_CHARACTERS))
    except (OSError, ValueError, TypeError):
        return None
    connection.settimeout(None)
    return (rank, address) if type(rank) is int and rank in ranks and isinstance(address, str) else None


def _reach(host: str, port: int) -> socket.socket:
    while True:
        try:
            return socket.create_connection((host, port))
        except ConnectionRefusedError:
            threading.Event().wait(RETRY_SECONDS)


def _write(messages: TextIO, content: object) -> None:
    messages.write(json.dumps(content) + "\n")
    messages.flush()


def _choose_address(host: str) -> str:
    with socket.create_server((host, 0)) as server:
        return f"{host}:{server.getsockname()[1]}"
