"""The lifeline: it ends a worker whose conductor has died. It also lets a hung worker write its stacks."""

from __future__ import annotations

import faulthandler
import os
import select
import shutil
import signal
import threading
import time
from pathlib import Path

#: The signal that makes a hung worker write the stacks of all threads to its output, even while the GIL is held.
DUMP_STACKS_SIGNAL = getattr(signal, "SIGUSR1", None)
#: Attempts to remove the scratch folder, and seconds between two: another worker may still be writing into it.
REMOVAL_TRIES = 20
REMOVAL_PAUSE_SECONDS = 0.1


class Lifeline:
    """Ends this process and its children, and removes `scratch`, as soon as the other end of the channel is closed.

    A thread waits for that. It sleeps in the kernel, and messages do not wake it.
    """

    def __init__(self, descriptor: int, scratch: Path) -> None:
        if DUMP_STACKS_SIGNAL is not None:
            faulthandler.register(DUMP_STACKS_SIGNAL, all_threads=True)
        self._descriptor = os.dup(descriptor)  # the channel's own end may be closed earlier
        self._scratch = scratch
        self._thread = threading.Thread(target=self._end_with_conductor, name="lifeline", daemon=True)
        if hasattr(select, "poll"):
            self._thread.start()

    def finish(self) -> None:
        """Call this at the normal end of the process: if the other end is closed, it lets the thread clean up first."""
        if self._thread.is_alive() and self._is_hung_up(0):
            self._thread.join()

    def _end_with_conductor(self) -> None:
        if not self._is_hung_up(None):
            return
        for _ in range(REMOVAL_TRIES):  # the images alone can be 180 MB
            shutil.rmtree(self._scratch, ignore_errors=True)
            if not self._scratch.exists():
                break
            time.sleep(REMOVAL_PAUSE_SECONDS)
        os.killpg(os.getpgrp(), signal.SIGKILL)

    def _is_hung_up(self, timeout: float | None) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, 0)  # only a hang-up, no message
        return any(happened & select.POLLHUP for _, happened in poll.poll(timeout))
