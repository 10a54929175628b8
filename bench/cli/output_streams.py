"""The output streams: what a command prints never ends it, whatever the terminal or the pipe can take."""

from __future__ import annotations

import codecs
import errno
import io
import os
import select
import sys
from typing import TYPE_CHECKING, BinaryIO, TextIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

#: The error handler for characters that an output's encoding lacks.
SUBSTITUTE = "bench-substitute"
#: What stands for a character that the encoding lacks; for all others that is a question mark.
SUBSTITUTES = {
    "×": "x",
    "–": "-",
    "−": "-",
    "…": "...",
    "±": "+/-",
    # In tables, a question mark stands for what is not certain.
    "≈": "~",
    "•": "*",
    "·": "*",
    "→": "->",
    "µ": "u",
    "∞": "inf",
    "≤": "<=",
    "≥": ">=",
    "«": '"',
    "»": '"',
}
BOX_DRAWING = range(0x2500, 0x2580)
HORIZONTAL, VERTICAL = "─━╌╍┄┅┈┉═╴╶╸╺╼╾", "│┃╎╏┆┇┊┋║╵╷╹╻╽╿"
#: The reader of a pipe has ended, or the terminal was closed: nobody misses the output.
NOBODY_READS = (errno.EPIPE, errno.EIO)


def substitute(error: UnicodeError) -> tuple[str, int]:
    """Replace the characters that an encoding lacks; an error handler as `codecs.register_error` takes it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(map(_substitute_character, error.object[error.start : error.end])), error.end


def _substitute_character(character: str) -> str:
    if ord(character) in BOX_DRAWING:
        return "-" if character in HORIZONTAL else "|" if character in VERTICAL else "+"
    return SUBSTITUTES.get(character, "?")


#: The variables of a terminal's size, and the most that they can say: tables are as wide as the terminal.
SIZE_VARIABLES = ("COLUMNS", "LINES")
LARGEST_SIZE = 100_000
#: The number of stderr.
LAST_STANDARD_DESCRIPTOR = 2


class Descriptor(io.FileIO):
    """A file descriptor that takes everything. After a write has failed, it writes nowhere.

    Attributes:
        problem: the first failure, unless it means that nobody reads any more; None without one.
    """

    problem: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all bytes; returns how many they are, after a failure, too."""
        content = memoryview(data).cast("B")
        done = 0
        try:
            while done < len(content):
                written = super().write(content[done:])
                if written is None:  # another process has made it non-blocking
                    select.select([], [self], [])
                done += written or 0
        except OSError as error:
            if error.errno not in NOBODY_READS:
                self.problem = error
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
        return len(content)


def secure() -> list[Descriptor]:
    """Replace stdout and stderr by streams that take every character and survive a closed pipe, a closed terminal and a
    full disk; returns their descriptors. A stream that is not the process' own stays.
    """
    codecs.register_error(SUBSTITUTE, substitute)
    _open_standard_descriptors()
    _drop_unusable_sizes()
    descriptors = []
    for name in ("stdout", "stderr"):
        stream: TextIO | None = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper) and stream is getattr(sys, f"__{name}__"):
            stream.flush()
            descriptor = Descriptor(stream.fileno(), "w", closefd=False)
            secured = io.TextIOWrapper(
                # PYTHONUNBUFFERED leaves the buffer out.
                cast(BinaryIO, descriptor) if stream.write_through else io.BufferedWriter(descriptor),
                encoding=stream.encoding,
                errors=SUBSTITUTE,
                line_buffering=stream.line_buffering,
                write_through=stream.write_through,
            )
            setattr(sys, name, secured)
            descriptors.append(descriptor)
    return descriptors


def _drop_unusable_sizes() -> None:
    """Remove a terminal's size from the environment if it is none: in 0 columns, nothing at all would be printed."""
    for name in SIZE_VARIABLES:
        text = os.environ.get(name, "")
        if not (text.isdecimal() and len(text) <= len(str(LARGEST_SIZE)) and 0 < int(text) <= LARGEST_SIZE):
            os.environ.pop(name, None)


def _open_standard_descriptors() -> None:
    """Open those of stdin, stdout and stderr that are closed, so that no socket or file gets one of their numbers."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= LAST_STANDARD_DESCRIPTOR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
