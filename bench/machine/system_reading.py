"""Readings of the system that may be missing: in a container or a sandbox, parts of /proc and /sys are."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import psutil

Value = TypeVar("Value")

#: How psutil and the system say that a reading is missing: no file, other content than expected, or no such function.
MISSING = (OSError, ValueError, LookupError, AttributeError, RuntimeError, psutil.Error)


def try_read(read: Callable[[], Value]) -> Value | None:
    """The value that `read` returns; None if the system does not report it. A reading never ends a measurement."""
    try:
        return read()
    except MISSING:
        return None
