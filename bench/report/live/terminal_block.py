"""A block of lines at the end of a terminal that is drawn again without flicker: only lines that differ are written."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from typing import Self

from rich.console import Console, RenderableType
from rich.text import Text

#: Seconds between two looks at what has changed.
TICK_SECONDS = 1.0
UP, CLEAR_LINE_END, CLEAR_BELOW = "\x1b[{}A", "\x1b[K", "\x1b[J"
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def is_interactive(console: Console) -> bool:
    """Whether lines can be redrawn: not where TERM says nothing about the terminal.

    With FORCE_COLOR, rich takes a file or a pipe for a terminal, too.
    """
    known = os.name != "posix" or bool(os.environ.get("TERM"))
    return known and console.is_terminal and not console.is_dumb_terminal and console.file.isatty()


class TerminalBlock:
    """Keeps what `render` returns at the end of the terminal while the context lasts, and then removes it."""

    def __init__(self, console: Console, render: Callable[[], RenderableType], tick: float = TICK_SECONDS) -> None:
        self.console, self.render, self.tick = console, render, tick
        self._lines: list[str] = []
        self._size = console.size
        self._lock = threading.RLock()
        self._over = threading.Event()
        self._ticker = threading.Thread(target=self._keep_drawing, daemon=True)

    def __enter__(self) -> Self:
        self._write(HIDE_CURSOR)
        self.draw()
        self._ticker.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._ticker.join()
        with self._lock:
            self._write(self._erase() + SHOW_CURSOR)

    def draw(self) -> None:
        """Draw what has changed, now."""
        with self._lock:
            text = self._erase() if self._size != self.console.size else ""
            self._size = self.console.size
            new = self._render_lines()
            text += self._move_up()
            for number, line in enumerate(new):
                known = number < len(self._lines)
                text += "" if known and self._lines[number] == line else f"\r{line}{CLEAR_LINE_END}"
                text += "\r\n"
            if len(new) < len(self._lines):
                text += CLEAR_BELOW
            changed = new != self._lines
            self._lines = new
            if changed:
                self._write(text)

    def print(self, *lines: RenderableType) -> None:
        """Print lines above the block, which stay."""
        with self._lock:
            self._write(self._erase())
            for line in lines:
                self.console.print(line, soft_wrap=True, highlight=False)
            self.draw()

    def _erase(self) -> str:
        text = self._move_up() + CLEAR_BELOW
        self._lines = []
        return text

    def _move_up(self) -> str:
        """Go to the block's first line. In a terminal that has become narrower, its lines are wrapped."""
        columns = self.console.size.width
        rows = sum(max(1, math.ceil(Text.from_ansi(line).cell_len / columns)) for line in self._lines)
        return "\r" + (UP.format(rows) if rows else "")

    def _render_lines(self) -> list[str]:
        with self.console.capture() as captured:
            self.console.print(self.render())
        # A block that is higher than the terminal could not be drawn again.
        return captured.get().splitlines()[: self.console.size.height - 1]

    def _write(self, text: str) -> None:
        self.console.file.write(text)
        self.console.file.flush()

    def _keep_drawing(self) -> None:
        while not self._over.wait(self.tick):
            self.draw()
