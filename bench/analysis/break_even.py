"""Break-even: after how many steps a dearer start is paid for by quicker steps."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class BreakEven:
    """One case against another; means over launches.

    Attributes:
        dearer: seconds that its start takes longer; below 0 it is cheaper.
        quicker: seconds that its step is shorter; below 0 it is longer.
        least, most: steps until both have spent the same, over the launches.
        launches: how many.
    """

    dearer: float
    quicker: float
    least: float
    most: float
    launches: int

    @property
    def steps(self) -> float | None:
        """Training steps until both have spent the same time; None where one of them is ahead for good."""
        return self.dearer / self.quicker if (self.dearer > 0) == (self.quicker > 0) and self.quicker else None

    def told(self, steps_per_epoch: int | None = None) -> str:
        """In words; in epochs, too, where their length is given."""
        if self.steps is None:
            return "ahead from the start" if self.dearer <= 0 else "never: dearer and slower"
        word = "ahead after" if self.dearer > 0 else "behind after"
        span = f"{self.steps:,.0f} steps"
        span += f" [{self.least:,.0f}–{self.most:,.0f}]" if self.launches > 1 else ""
        return f"{word} {span}{f', {self.steps / steps_per_epoch:,.2g} epochs' if steps_per_epoch else ''}"


def break_even(dearer: Sequence[float], quicker: Sequence[float]) -> BreakEven:
    """From seconds that a start takes longer, and seconds that a step is shorter, both by launch.

    Raises:
        ValueError: no launch, or another number of them.
    """
    steps = [max(0.0, start / step) for start, step in zip(dearer, quicker, strict=True) if step] or [0.0]
    return BreakEven(statistics.mean(dearer), statistics.mean(quicker), min(steps), max(steps), len(steps))
