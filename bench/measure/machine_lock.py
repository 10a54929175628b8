"""The lock that lets only one command measure on a machine at a time: two would slow each other down."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.cache.file_lock import lock_file
from bench.cache.home import get_home
from bench.errors import UserError

LOCK_FILE = "measuring.lock"
MAX_HOLDER_BYTES = 200
#: What a holder writes before the name of its machine.
MACHINE = ", machine "
#: The name of a machine until its next start, the same in all of its containers (Linux, random(4)).
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@contextmanager
def hold_lock(what: str, wait: bool, say: Callable[[str], object]) -> Iterator[None]:
    """Hold the machine's lock for the block. The system releases it when the process ends, even when it is killed.

    Where the home's file system has no locks, the block runs without one, and a line says so. Of machines that share a
    home, as in a cluster, the one that finds the lock held by another takes a file of its own in addition.

    Args:
        what: the command that measures, shown to others that find the lock held.
        wait: wait until the lock is released, instead of raising.
        say: receives a line that names the holder, when there is a wait, or that there is no lock.

    Raises:
        UserError: another measurement is under way, or the lock's file cannot be written.
    """
    machine = read_machine_name()
    own_file = get_home() / f"measuring-{machine}.lock"
    is_held_elsewhere = False
    with contextlib.ExitStack() as locks:
        try:
            locks.enter_context(_hold_file(get_home() / LOCK_FILE, machine, what, wait, say))
        except _HeldElsewhere:
            is_held_elsewhere = True
        # One of this machine may have taken it while the other machine held the lock.
        if is_held_elsewhere or own_file.exists():
            locks.enter_context(_hold_file(own_file, machine, what, wait, say))
        yield


class _HeldElsewhere(Exception):
    """Another machine holds the lock."""


@contextmanager
def _hold_file(path: Path, machine: str, what: str, wait: bool, say: Callable[[str], object]) -> Iterator[None]:
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
            text = file.read(MAX_HOLDER_BYTES).decode(errors="replace").strip("\0 \n") or "unknown"
            other, _, its_machine = text.partition(MACHINE)
            if its_machine and machine and its_machine != machine:
                raise _HeldElsewhere from None
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
            file.write(f"process {os.getpid()}, {what}{MACHINE if machine else ''}{machine}".encode())
        yield
        with contextlib.suppress(OSError):
            file.truncate(0)


def read_machine_name() -> str:
    """Read the name of this machine until its next start; empty where the system gives none."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
