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
        #: By case: the phase; what was done when it first said so, and when; and when the last line about it was due.
        self._phases: dict[str, str] = {}
        self._first: dict[str, tuple[int, float]] = {}
        self._lines: dict[str, float] = {}
        self._pauses: dict[str, float] = {}

    def describe(self, case: str, message: Message) -> str | None:
        """Describe a `part`: `extraction, 12,800 of 60,000 images, about 83 s left`; None for any other message.

        The first part of a phase does not count for the time left: it can include compilation.
        """
        now = self._clock()
        if message["event"] == "phase":
            self._phases[case] = message["name"]
            self._first.pop(case, None)
            self._lines[case], self._pauses[case] = now, LINE_SECONDS
        if message["event"] != "part":
            return None
        name, done, of, unit = self._phases.get(case, ""), message["done"], message["of"], message["unit"]
        if of is None:
            return f"{name}, {done:,} {unit}"
        before, began = self._first.setdefault(case, (done, now))
        left = f", about {(now - began) / (done - before) * (of - done):,.0f} s left" if done > before else ""
        return f"{name}, {done:,} of {of:,} {unit}{left}"

    def describe_line(self, case: str, message: Message) -> str | None:
        """The same, but for a phase that has lasted for `LINE_SECONDS`, and then more and more seldom."""
        text = self.describe(case, message)
        if text is None or self._clock() - self._lines.get(case, self._clock()) < self._pauses.get(case, LINE_SECONDS):
            return None
        self._lines[case] = self._clock()
        self._pauses[case] = 2 * self._pauses.get(case, LINE_SECONDS)
        return text
