"""The CPU time of a process and of the processes below it."""

from __future__ import annotations

import contextlib

import psutil


def read_tree_cpu_seconds(pid: int) -> float:
    """Read the CPU time of a process, of its living descendants, and of all children that have ended; 0 if it is gone.

    A child that ends while nobody waits for it is missing until its parent does, so a later reading may be smaller.
    """
    seconds = 0.0
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        for one in (process, *process.children(recursive=True)):
            with contextlib.suppress(psutil.Error, OSError):
                times = one.cpu_times()
                seconds += times.user + times.system
                seconds += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return seconds
