"""Host memory of this process: its peak by phase, from Linux' /proc.

The peak is VmHWM, which writing 5 to /proc/self/clear_refs sets back to the current size (proc(5)), and never
`ru_maxrss`, which a process inherits across fork and exec: a small child would report its parent's peak.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from bench.record import Doubt

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")


def peak_bytes() -> int | None:
    """The highest resident size since the start or the last `reset_peak`, in bytes; None off Linux."""
    return _field("VmHWM")


def resident_bytes() -> int | None:
    """The resident size now, in bytes; None off Linux."""
    return _field("VmRSS")


def reset_peak() -> bool:
    """Start a new phase: the peak becomes the current size. False where the system does not allow it."""
    try:
        CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


def doubt() -> Doubt | None:
    """The doubt to record where peaks cannot be read or set back; None where they can. Starts a new phase."""
    if peak_bytes() is None:
        return Doubt(
            name="no-host-peak",
            evidence=f"{sys.platform} has no VmHWM in {STATUS}",
            advice="measure host memory on Linux",
        )
    if not reset_peak():
        return Doubt(
            name="host-peak-not-by-phase",
            evidence=f"{CLEAR_REFS} is not writable, so every phase shows the peak of all phases before it",
            advice="read the last phase only, or run where /proc is writable",
        )
    return None


def _field(name: str) -> int | None:
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB$", STATUS.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
