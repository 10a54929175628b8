"""Progress where each launch has a line when it is done: of what happens within it just deaths are told."""

from __future__ import annotations

from collections.abc import Callable

from bench.worker.channel import Message


class Quiet:
    """A `bench.measure.conductor.Watcher`."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self.say = say

    def event(self, case: str, message: Message) -> None:
        """See `Watcher.event`."""
        if message["event"] == "died":
            self.say(f"  the worker of {case} died: {message['reason']}")

    def round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """See `Watcher.round`."""
