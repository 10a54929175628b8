"""The baton's path: one JSON message a line, over a socket pair between the conductor and a worker.

Waiting on it blocks in the kernel and costs no CPU. When either side dies the other reads the end of the stream,
so no worker outlives its conductor.
"""

from __future__ import annotations

import json
import socket
from typing import Any

Message = dict[str, Any]


class Channel:
    """One end of the path."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._buffer = b""

    @classmethod
    def from_descriptor(cls, descriptor: int) -> Channel:
        """The end that was inherited as an open file descriptor."""
        return cls(socket.socket(fileno=descriptor))

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def send(self, **message: object) -> None:
        """Send one message.

        Raises:
            OSError: the other side is gone.
        """
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, timeout: float | None = None) -> Message | None:
        """The next message; None when the other side is gone.

        Raises:
            TimeoutError: none came in `timeout` seconds.
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
        """Hang up."""
        self._socket.close()
