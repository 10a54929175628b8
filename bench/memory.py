"""Host memory of this process by phase, from Linux' /proc, and of the processes of an input pipeline.

The peak is VmHWM, which writing 5 to /proc/self/clear_refs sets back to the current size (proc(5)), and never
`ru_maxrss`, which a process inherits across fork and exec: a small child would report its parent's peak.
"""

from __future__ import annotations

import re
from pathlib import Path

import psutil

from bench.record import Phase

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
ROLLUP = "smaps_rollup"
#: Bytes in the MB of every column, table and document here: 2**20.
MB = 2**20


class Phases:
    """The phases of a worker, one after the other. Each begins where the one before it ended."""

    def __init__(self) -> None:
        self.ended: list[Phase] = []
        self.resettable = True
        self._foreign = 0

    def end(self, name: str, children: bool = False) -> None:
        """End a phase and begin the next one.

        Args:
            name: of the phase that ends.
            children: whether processes of an input pipeline may live; asking takes some 10 ms.
        """
        peak, live = peak_bytes(), resident_bytes()
        extra = children_bytes(self._foreign) if children else 0
        if not children:
            self._foreign = foreign_bytes()
        self.ended.append(Phase(name=name, peak=peak, live=live, children=extra))
        self.resettable = reset_peak()

    def told(self) -> list[dict]:
        """As a message carries them."""
        return [phase.model_dump() for phase in self.ended]


def peak_bytes(status: Path | None = None) -> int | None:
    """The highest resident size since the start or the last `reset_peak`, in bytes; None off Linux.

    Args:
        status: another process' status file.
    """
    return _field("VmHWM", status or STATUS)


def resident_bytes() -> int | None:
    """The resident size now, in bytes; None off Linux."""
    return _field("VmRSS", STATUS)


def reset_peak() -> bool:
    """Start a new phase: the peak becomes the current size. False where the system does not allow it."""
    try:
        CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


def children_bytes(foreign: int) -> int:
    """What this process' descendants hold beyond what it holds itself, in bytes; pages that they share count once.

    The proportional sizes (PSS, proc(5)) of a family add up to its pages, each counted once, but for the shares that
    processes outside hold. `foreign` is what this process lacks on their account: its resident size less its
    proportional one while it has no children.
    """
    resident = resident_bytes()
    if resident is None:
        return 0
    own = proportional_bytes("self")
    family = [proportional_bytes(child.pid) for child in psutil.Process().children(recursive=True)]
    if own is None or not family:
        return 0
    return max(0, own + sum(size for size in family if size is not None) + foreign - resident)


def foreign_bytes() -> int:
    """This process' resident size less its proportional one, in bytes: what others outside its family share."""
    resident, own = resident_bytes(), proportional_bytes("self")
    return max(0, resident - own) if resident is not None and own is not None else 0


def proportional_bytes(process: int | str) -> int | None:
    """A process' proportional resident size (PSS) in bytes; None where it is gone or the system does not tell."""
    return _field("Pss", Path("/proc") / str(process) / ROLLUP)


def _field(name: str, file: Path) -> int | None:
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB$", file.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
