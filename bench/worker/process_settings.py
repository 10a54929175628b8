"""Process settings: the settings that are really in effect, for knobs that act through environment variables."""

from __future__ import annotations

import os
import re
from pathlib import Path

from bench.records.process_flags import ALLOCATOR, CPUS, HUGE
from bench.records.units import MB

MAPS = Path("/proc/self/maps")
SIZES = Path("/proc/self/smaps_rollup")
ALLOCATORS = ("jemalloc", "tcmalloc")


def read_flags() -> dict[str, str]:
    """Read the loaded allocator, the MB of anonymous memory in huge pages, and the CPUs that the main thread may use.

    Settings that the system does not show are left out.
    """
    found = {}
    if maps := _read_text(MAPS):
        loaded = [name for name in ALLOCATORS if f"/lib{name}" in maps]
        found[ALLOCATOR] = "+".join(loaded) or "system"
    if huge := re.search(r"^AnonHugePages:\s+(\d+) kB$", _read_text(SIZES), re.M):
        found[HUGE] = f"{int(huge[1]) * 1024 / MB:.0f}"
    if hasattr(os, "sched_getaffinity"):
        found[CPUS] = str(len(os.sched_getaffinity(0)))
    return found


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
