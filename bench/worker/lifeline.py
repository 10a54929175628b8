"""A worker does not outlive its conductor, and can be asked where it hangs."""

from __future__ import annotations

import faulthandler
import os
import select
import shutil
import signal
import threading
from pathlib import Path

#: Sent to a worker that hangs: all its threads' stacks go to its output, also while one holds the interpreter's lock.
TELL_STACKS = getattr(signal, "SIGUSR1", None)


def hold(descriptor: int, scratch: Path) -> None:
    """End this process and its children, and remove `scratch`, as soon as the other end of the channel is gone.

    The thread that sees to it sleeps in the kernel; no message wakes it.
    """
    if TELL_STACKS is not None:
        faulthandler.register(TELL_STACKS, all_threads=True)
    if hasattr(select, "poll"):
        threading.Thread(target=_end_with, args=(descriptor, scratch), name="lifeline", daemon=True).start()


def _end_with(descriptor: int, scratch: Path) -> None:
    poll = select.poll()
    poll.register(descriptor, 0)  # nothing but a hang-up
    poll.poll()
    shutil.rmtree(scratch, ignore_errors=True)  # the images alone can be 180 MB
    os.killpg(os.getpgrp(), signal.SIGKILL)
