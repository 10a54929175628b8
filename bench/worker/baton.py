"""The baton, on the worker's side: only the worker that has it computes."""

from __future__ import annotations

from bench.worker.channel import Channel


class ConductorGone(Exception):
    """The conductor has died, so the worker ends."""


class Baton:
    """The worker's side of the baton: the worker computes only between `take` and `give_back`."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.held = True  # a worker has the baton when it starts

    def send(self, event: str, **content: object) -> None:
        """Send the conductor a message, and keep the baton."""
        self.channel.send(event=event, **content)

    def give_back(self, event: str = "resting", **content: object) -> None:
        """Give the baton back to the conductor, with a message; does nothing if this worker does not have it."""
        if self.held:
            self.held = False
            self.channel.send(event=event, **content)

    def take(self) -> dict:
        """Wait, without using the CPU, until the conductor hands over the baton; returns its message."""
        message = self.channel.receive()
        if message is None:
            raise ConductorGone
        self.held = True
        return message
