"""Plain text: what programs print for a terminal, without its escape sequences. Files have only such text."""

from __future__ import annotations

import re

#: Control sequences, as of colours (ECMA-48, CSI), and commands to the operating system, as of links (OSC).
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")


def strip_escapes(text: str) -> str:
    """The text without the escape sequences of a terminal."""
    return _ESCAPES.sub("", text)
