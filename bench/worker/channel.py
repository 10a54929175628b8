"""The channel between the conductor and a worker: a socket pair that carries one JSON message per line.

Waiting for a message blocks in the kernel and uses no CPU. When one side dies, the other reads the end of the stream,
so no worker outlives its conductor.
"""

from __future__ import annotations

import json
import socket
import threading
from typing import Any

Message = dict[str, Any]


class Channel:
    """One end of the channel."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._buffer = b""
        self._sending = threading.Lock()

    @classmethod
    def from_descriptor(cls, descriptor: int) -> Channel:
        """Open the end that this process inherited as a file descriptor."""
        return cls(socket.socket(fileno=descriptor))

    def fileno(self) -> int:
        """The file descriptor, for selectors."""
        return self._socket.fileno()

    def send(self, **message: object) -> None:
        """Send one message; several threads may do so.

        Raises:
            OSError: the other side has closed its end.
        """
        with self._sending:
            self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, timeout: float | None = None) -> Message | None:
        """Wait for the next message; None if the other side has closed its end.

        Raises:
            TimeoutError: none arrived within `timeout` seconds.
        """
        self._socket.settimeout(timeout)
        while b"\n" not in self._buffer:
            try:
                part = self._socket.recv(65536)
            except ConnectionError:
                return None
            if not part:
                return None
            self._buffer += part
        line, self._buffer = self._buffer.split(b"\n", 1)
        return json.loads(line)

    def close(self) -> None:
        """Close this end."""
        self._socket.close()
