"""Reports of a worker on how much of a long phase is done: they show progress, and that the worker is not hung."""

from __future__ import annotations

import time
from typing import Protocol

#: Approximate seconds between two reports: four or more in a second would only be drawn over each other.
REPORT_SECONDS = 0.5


class Sender(Protocol):
    """Sends messages to the conductor."""

    def send(self, event: str, **content: object) -> None:
        """Send one message."""


class PartReport:
    """Sends the message `part`, with `done` and `of` and what they count, at most every `REPORT_SECONDS`."""

    def __init__(self, sender: Sender, of: int | None, unit: str = "images") -> None:
        """Begin a phase.

        Args:
            of: how many there are; None if that is not known.
        """
        self._sender, self._of, self._unit = sender, of, unit
        self._sent = time.monotonic()

    def __call__(self, done: int, silent_s: float = 0.0) -> None:
        """Report that `done` are done.

        Args:
            silent_s: about how long the worker will now be silent, in seconds, if that is known and may be long.
        """
        now = time.monotonic()
        if now - self._sent >= REPORT_SECONDS or silent_s > REPORT_SECONDS:
            self._sent = now
            self._sender.send("part", done=done, of=self._of, unit=self._unit, silent_s=silent_s)
