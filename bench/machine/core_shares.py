"""The cores of the processes that train one case together: dealt out without overlap."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence

Cores = tuple[int, ...]


def deal_cores(cores: Sequence[int], processes: int) -> tuple[Cores, ...]:
    """Deal out cores: each process gets equally many neighbours, and what is left over stays idle.

    With fewer cores than processes, several processes get the same core.
    """
    each = len(cores) // processes
    if not each:
        return tuple((cores[number % len(cores)],) for number in range(processes))
    return tuple(tuple(cores[number * each : (number + 1) * each]) for number in range(processes))


def list_usable_cores() -> list[int]:
    """List the cores that this process may run on; those of the machine where the system has no affinity."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def bind(cores: Sequence[int]) -> None:
    """Let this process, and those that it starts, run only on these cores; without effect where that is impossible."""
    if hasattr(os, "sched_setaffinity"):
        with contextlib.suppress(OSError):
            os.sched_setaffinity(0, cores)
