"""Progress for commands that print their own line after each launch: within one, deaths and long phases are shown."""

from __future__ import annotations

from collections.abc import Callable

from bench.report.live.part_progress import PartProgress
from bench.worker.channel import Message


class SilentProgress:
    """A `bench.measure.conductor.Watcher` that prints a line when a worker dies, and now and then in a long phase.

    With `deaths` False the command itself says that a worker died.
    """

    def __init__(self, say: Callable[[str], object], deaths: bool = True) -> None:
        self.say, self.deaths = say, deaths
        self.parts = PartProgress()

    def on_event(self, case: str, message: Message) -> None:
        """See `Watcher.on_event`."""
        if line := self.parts.describe_line(case, message):
            self.say(f"  {case}: {line}")
        if self.deaths and message["event"] == "died":
            self.say(f"  the worker of {case} died: {message['reason']}")

    def on_round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """See `Watcher.on_round`."""
