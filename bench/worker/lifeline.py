"""A worker does not outlive its conductor, and can be asked where it hangs."""

from __future__ import annotations

import faulthandler
import os
import select
import signal
import threading

#: Sent to a worker that hangs: all its threads' stacks go to its output, also while one holds the interpreter's lock.
TELL_STACKS = getattr(signal, "SIGUSR1", None)


def hold(descriptor: int) -> None:
    """End this process and its children as soon as the other end of the channel `descriptor` is gone.

    The thread that sees to it sleeps in the kernel; no message wakes it.
    """
    if TELL_STACKS is not None:
        faulthandler.register(TELL_STACKS, all_threads=True)
    if hasattr(select, "poll"):
        threading.Thread(target=_end_with, args=(descriptor,), name="lifeline", daemon=True).start()


def _end_with(descriptor: int) -> None:
    poll = select.poll()
    poll.register(descriptor, 0)  # nothing but a hang-up
    poll.poll()
    os.killpg(os.getpgrp(), signal.SIGKILL)
