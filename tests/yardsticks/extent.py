"""How thoroughly to measure, and on which images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console


@dataclass(frozen=True)
class Extent:
    """How thoroughly, and with which backends and data, every part measures.

    Attributes:
        launches, rounds: of each comparison.
        comparisons: in `errors`.
        backends: that are measured.
        data: a worker's file of random images, in a folder that is removed at the end.
        images: for training in `cached`; a fifth as many are for the test.
        data_dir: holds CIFAR-10's batches; None where random images have to do.
        quick: only show that it works.
        against: in `launch-time`, the folder or the revision that is measured beside this one; None for this one alone.
    """

    launches: int
    rounds: int
    comparisons: int
    backends: tuple[str, ...]
    data: Path
    images: int
    data_dir: Path | None
    quick: bool
    console: Console
    against: str | None = None

    def say(self, line: str) -> None:
        """Progress, on stderr."""
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def folder(self, name: str) -> Path:
        """A new folder that is removed at the end."""
        number = sum(1 for _ in self.data.parent.iterdir())
        made = self.data.parent / f"{number:03}-{name}"
        made.mkdir()
        return made
