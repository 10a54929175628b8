"""A sparkline: a plot of some values in one line of text (Tufte, Beautiful Evidence, 2006), for a terminal."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

BARS = "▁▂▃▄▅▆▇█"
#: Stands before the first value of a new level.
CHANGE = "│"
#: The smallest range of values that fills the height: 5 %. A smaller one is drawn flatter, so that noise looks small.
LEAST_RANGE = math.log(1.05)


def draw_sparkline(values: Sequence[float], changes: Collection[int] = (), width: int = 24) -> str:
    """Draw the newest values, each as a bar whose height is its logarithm; the lowest is at the bottom.

    Args:
        values: above 0, the oldest first.
        changes: the indices of the first values of new levels, which `CHANGE` stands before.
        width: the largest number of characters.
    """
    logs = [math.log(value) for value in values]
    shown: list[str] = []
    start = max(0, len(logs) - width)
    while start < len(logs) and len(logs) - start + sum(start < change for change in changes) > width:
        start += 1
    lowest, highest = min(logs[start:], default=0.0), max(logs[start:], default=0.0)
    span = max(highest - lowest, LEAST_RANGE)
    for number in range(start, len(logs)):
        if number in changes and number > start:
            shown.append(CHANGE)
        shown.append(BARS[round((logs[number] - lowest) / span * (len(BARS) - 1))])
    return "".join(shown)
