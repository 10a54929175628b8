"""A worker does not outlive its conductor, and can be asked where it hangs."""

from __future__ import annotations

import faulthandler
import os
import select
import shutil
import signal
import threading
import time
from pathlib import Path

#: Sent to a worker that hangs: all its threads' stacks go to its output, also while one holds the interpreter's lock.
TELL_STACKS = getattr(signal, "SIGUSR1", None)
#: Tries to remove the scratch folder, and seconds between two: another worker may still be writing into it.
SWEEPS = 20
SWEEP_SECONDS = 0.1


class Lifeline:
    """Ends this process and its children, and removes `scratch`, as soon as the other end of the channel is gone.

    The thread that sees to it sleeps in the kernel; no message wakes it.
    """

    def __init__(self, descriptor: int, scratch: Path) -> None:
        if TELL_STACKS is not None:
            faulthandler.register(TELL_STACKS, all_threads=True)
        self._descriptor = os.dup(descriptor)  # the channel's own end may be closed earlier
        self._scratch = scratch
        self._thread = threading.Thread(target=self._end_with, name="lifeline", daemon=True)
        if hasattr(select, "poll"):
            self._thread.start()

    def let_go(self) -> None:
        """To be called before the process ends by itself: if the other end is gone, the thread is not cut off."""
        if self._thread.is_alive() and self._hung_up(0):
            self._thread.join()

    def _end_with(self) -> None:
        if not self._hung_up(None):
            return
        for _ in range(SWEEPS):  # the images alone can be 180 MB
            shutil.rmtree(self._scratch, ignore_errors=True)
            if not self._scratch.exists():
                break
            time.sleep(SWEEP_SECONDS)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def _hung_up(self, timeout: float | None) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, 0)  # nothing but a hang-up
        return any(happened & select.POLLHUP for _, happened in poll.poll(timeout))
