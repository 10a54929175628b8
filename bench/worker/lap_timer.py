"""The lap timer: it splits a time into parts without gaps, so that the parts add up to the whole."""

from __future__ import annotations

import time
from collections import defaultdict


class LapTimer:
    """Seconds by name of the part. A part begins where the one before it ended; the first one with the timer."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._last = time.perf_counter()

    def end(self, name: str) -> None:
        """End the present part; parts of the same name are added."""
        now = time.perf_counter()
        self.seconds[name] += now - self._last
        self._last = now
