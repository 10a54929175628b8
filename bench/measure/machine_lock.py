"""One measurement at a time on a machine: two would spoil each other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.cache.home import home
from bench.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: nobody is kept out
    fcntl = None  # type: ignore[assignment]

FILE = "measuring.lock"


@contextmanager
def alone(what: str, wait: bool, say: Callable[[str], object]) -> Iterator[None]:
    """Hold the machine for the block. The lock goes with the process, however it ends.

    Args:
        what: is measured, to tell others.
        wait: for whoever holds it, instead of giving up.
        say: told who is waited for.

    Raises:
        UserError: another measurement is under way, or the lock's file cannot be written.
    """
    if fcntl is None:
        yield
        return
    path = home() / FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+", encoding="utf-8")
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): set HEADTOHEAD_HOME to a folder of yours") from None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            other = file.read().strip() or "unknown"
            if not wait:
                raise UserError(f"another measurement is under way ({other}): wait for it with --wait") from None
            say(f"Waiting for another measurement ({other}).")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(f"process {os.getpid()}, {what}")
        file.flush()
        yield
        file.truncate(0)
