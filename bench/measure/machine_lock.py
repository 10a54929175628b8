"""The lock that lets only one command measure on a machine at a time: two would slow each other down."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.cache.home import get_home
from bench.errors import UserError

try:
    import fcntl
except ImportError:  # Windows: there is no lock
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = "measuring.lock"


@contextmanager
def hold_lock(what: str, wait: bool, say: Callable[[str], object]) -> Iterator[None]:
    """Hold the machine's lock for the block. The system releases it when the process ends, even when it is killed.

    Args:
        what: the command that measures, shown to others that find the lock held.
        wait: wait until the lock is released, instead of raising.
        say: receives a line that names the holder, when there is a wait.

    Raises:
        UserError: another measurement is under way, or the lock's file cannot be written.
    """
    if fcntl is None:
        yield
        return
    path = get_home() / LOCK_FILE
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
