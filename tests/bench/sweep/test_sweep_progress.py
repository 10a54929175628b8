"""The progress of a sweep on a terminal: how much is done, the time left, and what each backend is at."""

from __future__ import annotations

import io
from types import SimpleNamespace

from rich.console import Console

from bench.sweep.sweep_progress import SweepProgress
from tests.bench.report.live.screen import Screen


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_on_a_terminal_the_lines_are_drawn_again_and_then_leave():
    console = Console(file=Terminal(), width=80, height=24, force_terminal=True)
    grid = SimpleNamespace(combinations=(), fine_tunes=range(4), varied=())
    progress = SweepProgress(console, grid, 1, None)
    with progress:
        progress.event("pytorch", {"event": "phase", "name": "proof"})
        progress.event("keras", {"event": "fine-tuned", "number": 1})
        progress.done += 1
        progress.began -= 60
        progress.block.draw()
        shown = read_screen(console)
        progress.event("keras", {"event": "died", "reason": "killed"})
    assert shown == ["2 of 4 fine-tunes, 60 s spent, about 2 min left", "pytorch: proof", "keras: fine-tuned"]
    assert read_screen(console) == ["  the worker of keras died: killed"]


def read_screen(console: Console) -> list[str]:
    screen = Screen()
    screen.feed(console.file.getvalue().replace("\n", "\r\n"))
    return screen.shown
