"""Work: floating-point operations, and bytes read and written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Work:
    """Floating-point operations, and bytes read and written: the useful ones, and all including padding."""

    flop: float = 0.0
    flop_padded: float = 0.0
    bytes: float = 0.0
    bytes_padded: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(
            self.flop + other.flop,
            self.flop_padded + other.flop_padded,
            self.bytes + other.bytes,
            self.bytes_padded + other.bytes_padded,
        )

    @property
    def intensity(self) -> float:
        """Useful operations per byte."""
        return self.flop / self.bytes if self.bytes else 0.0


def sum_work(works: Iterable[Work]) -> Work:
    """Sum up work."""
    return sum(works, Work())
