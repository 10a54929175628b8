"""Break-even: the number of steps after which a longer start-up is amortised by faster steps."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class BreakEven:
    """When one case overtakes another, or is overtaken by it.

    Attributes:
        longer_start_s: seconds by which its start-up is longer, mean over launches; below 0 it is shorter.
        shorter_step_s: seconds by which its step is shorter, mean over launches; below 0 it is longer.
        min_steps, max_steps: smallest and largest number of steps until both have taken the same time, over launches.
        launches: number of launches.
    """

    longer_start_s: float
    shorter_step_s: float
    min_steps: float
    max_steps: float
    launches: int

    @property
    def steps(self) -> float | None:
        """Training steps until both have taken the same time; None if one of them is always ahead."""
        if not self.shorter_step_s or (self.longer_start_s > 0) != (self.shorter_step_s > 0):
            return None
        return self.longer_start_s / self.shorter_step_s

    def describe(self, steps_per_epoch: int | None = None) -> str:
        """Describe the break-even, in epochs too if their length is given: `ahead after 2,000 steps [1,900–2,100]`."""
        if self.steps is None:
            return "ahead from the start" if self.longer_start_s <= 0 else "never: longer start-up and slower steps"
        if round(self.steps) == 0 and round(self.max_steps) == 0:
            return f"{'ahead' if self.shorter_step_s > 0 else 'behind'} from the start"
        word = "ahead after" if self.longer_start_s > 0 else "behind after"
        span = f"{self.steps:,.0f} steps"
        span += f" [{self.min_steps:,.0f}–{self.max_steps:,.0f}]" if self.launches > 1 else ""
        return f"{word} {span}{f', {self.steps / steps_per_epoch:,.2g} epochs' if steps_per_epoch else ''}"


def compute_break_even(longer_start_s: Sequence[float], shorter_step_s: Sequence[float]) -> BreakEven:
    """Compute the break-even of one case against another.

    Args:
        longer_start_s: seconds by which its start-up is longer, by launch.
        shorter_step_s: seconds by which its step is shorter, by launch.

    Raises:
        ValueError: no launch, or the two have different numbers of launches.
    """
    pairs = zip(longer_start_s, shorter_step_s, strict=True)
    steps = [max(0.0, start / step) for start, step in pairs if step] or [0.0]
    start, step = statistics.mean(longer_start_s), statistics.mean(shorter_step_s)
    return BreakEven(start, step, min(steps), max(steps), len(steps))
