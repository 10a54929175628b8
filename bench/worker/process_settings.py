"""What the process really runs under, whatever it was asked to: of knobs that act through its environment."""

from __future__ import annotations

import os
import re
from pathlib import Path

from bench.records.process_flags import ALLOCATOR, CPUS, HUGE
from bench.records.units import MB

MAPS = Path("/proc/self/maps")
SIZES = Path("/proc/self/smaps_rollup")
ALLOCATORS = ("jemalloc", "tcmalloc")


def flags() -> dict[str, str]:
    """The allocator that is loaded, MB of anonymous memory in huge pages, CPUs that the main thread may use; what the
    system does not tell is left out.
    """
    found = {}
    if maps := _text(MAPS):
        loaded = [name for name in ALLOCATORS if f"/lib{name}" in maps]
        found[ALLOCATOR] = "+".join(loaded) or "system"
    if huge := re.search(r"^AnonHugePages:\s+(\d+) kB$", _text(SIZES), re.M):
        found[HUGE] = f"{int(huge[1]) * 1024 / MB:.0f}"
    if hasattr(os, "sched_getaffinity"):
        found[CPUS] = str(len(os.sched_getaffinity(0)))
    return found


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
