"""How far the workers are in long phases, in words, from their messages `phase` and `part`."""

from __future__ import annotations

import time
from collections.abc import Callable

from bench.worker.channel import Message

#: Seconds until a phase has its first line where lines stay on the screen, and twice as many until each further one.
LINE_SECONDS = 30.0


class PartProgress:
    """Follows the phases of all workers of a launch."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: By case: the phase, when it began, and when the last line about it was due.
        self._phases: dict[str, tuple[str, float]] = {}
        self._lines: dict[str, float] = {}
        self._pauses: dict[str, float] = {}

    def describe(self, case: str, message: Message) -> str | None:
        """Describe a `part`: `extraction, 12,800 of 60,000 images, about 83 s left`; None for any other message."""
        now = self._clock()
        if message["event"] == "phase":
            self._phases[case] = message["name"], now
            self._lines[case], self._pauses[case] = now, LINE_SECONDS
        if message["event"] != "part":
            return None
        name, began = self._phases.get(case, ("", now))
        done, of, unit = message["done"], message["of"], message["unit"]
        if of is None:
            return f"{name}, {done:,} {unit}"
        left = f", about {(now - began) / done * (of - done):,.0f} s left" if done else ""
        return f"{name}, {done:,} of {of:,} {unit}{left}"

    def describe_line(self, case: str, message: Message) -> str | None:
        """The same, but for a phase that has lasted for `LINE_SECONDS`, and then more and more seldom."""
        text = self.describe(case, message)
        if text is None or self._clock() - self._lines.get(case, self._clock()) < self._pauses.get(case, LINE_SECONDS):
            return None
        self._lines[case] = self._clock()
        self._pauses[case] = 2 * self._pauses.get(case, LINE_SECONDS)
        return text
