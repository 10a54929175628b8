"""A terminal in a few lines: the screen that the output of a program gives, for the sequences that views write."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.processes import arithmetic

SEQUENCE = re.compile(r"\x1b\[([?\d;]*)([A-Za-z])|([^\x1b])", re.S)


class Screen:
    """What is on a terminal of a size; anything that it does not know is an error."""

    def __init__(self, columns: int = 80, rows: int = 24) -> None:
        self.columns, self.rows = columns, rows
        self.lines = [""] * rows
        self.row = self.column = 0
        self.cursor_hidden = False
        #: Lines that have left the screen at its top.
        self.above: list[str] = []

    def feed(self, text: str) -> None:
        at = 0
        while at < len(text):
            found = SEQUENCE.match(text, at)
            assert found, f"unknown sequence at {text[at : at + 10]!r}"
            at = found.end()
            if found[3]:
                self._put(found[3])
            else:
                self._obey(found[1], found[2])

    @property
    def shown(self) -> list[str]:
        """The lines without spaces at their ends, and without empty lines at the end of the screen."""
        lines = [line.rstrip() for line in self.lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def _put(self, character: str) -> None:
        if character == "\r":
            self.column = 0
        elif character == "\n":
            self._go_down()
        else:
            if self.column == self.columns:
                self.column = 0
                self._go_down()
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[: self.column] + character + line[self.column + 1 :]
            self.column += 1

    def _go_down(self) -> None:
        if self.row < self.rows - 1:
            self.row += 1
        else:
            self.above.append(self.lines.pop(0))
            self.lines.append("")

    def _obey(self, argument: str, letter: str) -> None:
        number = int(argument) if argument.isdecimal() else 1
        match letter:
            case "A":
                self.row = max(0, self.row - number)
            case "B":
                self.row = min(self.rows - 1, self.row + number)
            case "K":
                self.lines[self.row] = self.lines[self.row][: self.column]
            case "J":
                self.lines[self.row] = self.lines[self.row][: self.column]
                self.lines[self.row + 1 :] = [""] * (self.rows - self.row - 1)
            case "h" | "l" if argument == "?25":
                self.cursor_hidden = letter == "l"
            case "m":
                pass
            case _:
                raise AssertionError(f"unknown sequence {argument}{letter}")


class BenchOnTerminal:
    """`python -m bench ...` on a pseudo-terminal, with arithmetic in place of frameworks."""

    def __init__(self, *arguments: object, cwd: Path, columns: int = 80, rows: int = 24, **variables: str) -> None:
        self.screen = Screen(columns, rows)
        #: What was written, with its time.
        self.written: list[tuple[float, str]] = []
        environment = arithmetic({**os.environ, "TERM": "xterm-256color", "LC_ALL": "C.UTF-8"}) | variables
        for name in ("COLUMNS", "LINES", *({"NO_COLOR", "FORCE_COLOR"} - variables.keys())):
            environment.pop(name, None)
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execve(sys.executable, [sys.executable, "-m", "bench", *map(str, arguments)], environment)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def watch(self, seconds: float = 120.0) -> Iterator[Screen]:
        """Yield the screen after everything that is written, until the command ends."""
        end = time.monotonic() + seconds
        rest = b""
        while time.monotonic() < end:
            if not select.select([self.descriptor], [], [], 0.5)[0]:
                continue
            try:
                data = rest + os.read(self.descriptor, 65536)
            except OSError:  # the other side is closed
                return
            cut = max(data.rfind(b"\n"), data.rfind(b"m"), data.rfind(b"h"), data.rfind(b"l"), data.rfind(b"K"))
            whole, rest = data[: cut + 1], data[cut + 1 :]
            text = whole.decode()
            self.written.append((time.monotonic(), text))
            self.screen.feed(text)
            yield self.screen
        raise AssertionError(f"it did not end within {seconds} s")

    def end(self) -> int:
        """The exit status."""
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.descriptor)
        return status

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.written)
