"""The addresses at which the processes of a group listen: TensorFlow wants each to know all before it starts."""

from __future__ import annotations

import json
import socket
import threading
from typing import TextIO

from backends.values import Group

#: Seconds between two tries to reach process 0, which may start later. The harness limits how long a group may take.
RETRY_SECONDS = 0.1


def exchange_addresses(group: Group) -> list[str]:
    """The addresses `HOST:PORT` of all processes, by rank: each tells process 0 its own, and process 0 tells them all.

    A message is one line of JSON. A port is free when it is chosen here; TensorFlow then listens at it.

    Raises:
        OSError: process 0 cannot listen at the group's address.
    """
    host, _, port = group.address.rpartition(":")
    if group.rank:
        with _reach(host, int(port)) as connection, connection.makefile("rw") as messages:
            _write(messages, [group.rank, _choose_address(connection.getsockname()[0])])
            return json.loads(messages.readline())
    addresses = {0: _choose_address(host)}
    with socket.create_server((host, int(port)), backlog=group.size) as server:
        connections = [server.accept()[0] for _ in range(group.size - 1)]
    others = [connection.makefile("rw") for connection in connections]
    addresses.update(json.loads(other.readline()) for other in others)
    every = [addresses[rank] for rank in range(group.size)]
    for other, connection in zip(others, connections, strict=True):
        _write(other, every)
        other.close()
        connection.close()
    return every


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
