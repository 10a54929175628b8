"""Progress for commands that print their own line after each launch: within a launch, only deaths are shown."""

from __future__ import annotations

from collections.abc import Callable

from bench.worker.channel import Message


class SilentProgress:
    """A `bench.measure.conductor.Watcher` that prints a line only when a worker dies."""

    def __init__(self, say: Callable[[str], object]) -> None:
        self.say = say

    def on_event(self, case: str, message: Message) -> None:
        """See `Watcher.on_event`."""
        if message["event"] == "died":
            self.say(f"  the worker of {case} died: {message['reason']}")

    def on_round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """See `Watcher.on_round`."""
