"""Time in pieces that follow one another without a gap, so that they add up to the whole."""

from __future__ import annotations

import time
from collections import defaultdict


class Laps:
    """Seconds by name. A piece begins where the one before it ended; the first one where this was made."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._last = time.perf_counter()

    def end(self, name: str) -> None:
        """End a piece; pieces of one name add up."""
        now = time.perf_counter()
        self.seconds[name] += now - self._last
        self._last = now
