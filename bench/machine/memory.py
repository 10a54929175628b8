"""Host memory of this process by phase, from Linux' /proc, and of the processes of an input pipeline.

The peak is VmHWM, which writing 5 to /proc/self/clear_refs sets back to the current size (proc(5)), and never
`ru_maxrss`, which a process inherits across fork and exec: a small child would report its parent's peak.
"""

from __future__ import annotations

import re
from pathlib import Path

import psutil

from bench.records.record import Phase

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
ROLLUP = "smaps_rollup"


class Phases:
    """The phases of a worker, one after the other. Each begins where the one before it ended."""

    def __init__(self) -> None:
        self.ended: list[Phase] = []
        self.resettable = True

    def end(self, name: str, children: bool = False) -> None:
        """End a phase and begin the next one.

        Args:
            name: of the phase that ends.
            children: whether processes of an input pipeline may live; asking takes some 10 ms.
        """
        peak, live = peak_bytes(), resident_bytes()
        extra = children_bytes() if children else 0
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


def children_bytes() -> int:
    """What this process' descendants hold beyond what it holds itself, in bytes; pages that they share count once.

    The proportional sizes (PSS, proc(5)) of a family's anonymous and shared memory add up to its pages, each counted
    once. Files are left out: their pages are mapped by this process too, and shared with workers that have nothing to
    do with it, so that they would count less the more of those are alive. 0 where the system does not tell: Linux does
    since 5.9.
    """
    own = [_field(name, STATUS) for name in ("RssAnon", "RssShmem")]
    mine = _own_bytes("self")
    if None in own or mine is None:
        return 0
    theirs = [_own_bytes(child.pid) for child in psutil.Process().children(recursive=True)]
    return max(0, mine + sum(filter(None, theirs)) - sum(filter(None, own)))


def _own_bytes(process: int | str) -> int | None:
    """A process' share of anonymous and shared memory in bytes; None where it is gone or the system does not tell."""
    sizes = [_field(name, Path("/proc") / str(process) / ROLLUP) for name in ("Pss_Anon", "Pss_Shmem")]
    return None if None in sizes else sum(filter(None, sizes))


def _field(name: str, file: Path) -> int | None:
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB$", file.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
