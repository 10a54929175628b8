"""Watches the memory of a trial's processes, and ends them before they take what the machine needs."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from functools import partial
from pathlib import Path

import psutil

from bench.machine.memory import read_private_bytes
from bench.machine.system_reading import try_read

#: Seconds between two readings.
READING_SECONDS = 0.1
#: Should memory run out all the same, the kernel ends the process with the highest score first (proc(5)).
HIGHEST_SCORE = "1000"


class MemoryWatch:
    """Within its block, the processes that this one starts are ended when together they take more than a limit.

    Attributes:
        peak: the most bytes that they had together: anonymous and shared memory, each page counted once.
        exceeded: whether they were ended.
    """

    def __init__(self, limit: int) -> None:
        """Watch.

        Args:
            limit: in bytes.
        """
        self.limit, self.peak, self.exceeded = limit, 0, False
        self._ended = threading.Event()
        self._scored: set[int] = set()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        own = psutil.Process()
        while not self._ended.wait(READING_SECONDS):
            family = try_read(partial(own.children, recursive=True)) or []
            taken = sum(read_private_bytes(process.pid) or 0 for process in family)
            self.peak = max(self.peak, taken)
            for process in family:
                self._let_the_kernel_end_it_first(process.pid)
            if taken > self.limit:
                self.exceeded = True
                for child in try_read(own.children) or []:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(child.pid, signal.SIGKILL)  # a worker leads a group of its own

    def _let_the_kernel_end_it_first(self, pid: int) -> None:
        if pid not in self._scored:
            self._scored.add(pid)
            with contextlib.suppress(OSError):
                Path(f"/proc/{pid}/oom_score_adj").write_text(HIGHEST_SCORE)
