"""The lock that lets only one command measure on a machine at a time: two would slow each other down."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bench.cache.file_lock import lock_file
from bench.cache.home import get_home
from bench.errors import UserError

LOCK_FILE = "measuring.lock"
MAX_HOLDER_BYTES = 200


@contextmanager
def hold_lock(what: str, wait: bool, say: Callable[[str], object]) -> Iterator[None]:
    """Hold the machine's lock for the block. The system releases it when the process ends, even when it is killed.

    Where the home's file system has no locks, the block runs without one, and a line says so.

    Args:
        what: the command that measures, shown to others that find the lock held.
        wait: wait until the lock is released, instead of raising.
        say: receives a line that names the holder, when there is a wait, or that there is no lock.

    Raises:
        UserError: another measurement is under way, or the lock's file cannot be written.
    """
    path = get_home() / LOCK_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+b", buffering=0)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): set HEADTOHEAD_HOME to a folder of yours") from None
    with file:
        try:
            locked = lock_file(file.fileno(), wait=False)
        except BlockingIOError:
            file.seek(0)
            # After a power cut, a file may have zeros.
            other = file.read(MAX_HOLDER_BYTES).decode(errors="replace").strip("\0 \n") or "unknown"
            if not wait:
                raise UserError(f"another measurement is under way ({other}): wait for it with --wait") from None
            say(f"Waiting for another measurement ({other}).")
            locked = lock_file(file.fileno(), wait=True)
        if not locked:
            say(f"{path} cannot be locked here: measure nothing else meanwhile, or set HEADTOHEAD_HOME to a local disk")
            yield
            return
        with contextlib.suppress(OSError):  # a full disk: the lock holds without its holder's name
            file.truncate(0)
            file.write(f"process {os.getpid()}, {what}".encode())
        yield
        with contextlib.suppress(OSError):
            file.truncate(0)
