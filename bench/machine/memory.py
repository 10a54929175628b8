"""Host memory of this process by phase, from Linux' /proc, and of the processes of an input pipeline.

The peak is VmHWM, which is reset to the current size by writing 5 to /proc/self/clear_refs (proc(5)). `ru_maxrss` is
not used: a process inherits it across fork and exec, so that a small child would report its parent's peak.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

import psutil

from bench.machine.system_reading import try_read
from bench.records.record import Phase

STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")
SHARES = "smaps_rollup"


class PhaseRecorder:
    """Records the host memory of a worker's phases. A phase begins when the one before it ends."""

    def __init__(self) -> None:
        self.ended: list[Phase] = []
        self.others: Collection[int] = ()  # descendants that record their own memory, by process number
        self.resettable = True

    def end(self, name: str, children: bool = False) -> None:
        """End a phase and begin the next one.

        Args:
            name: of the phase that ends.
            children: whether processes of an input pipeline may be alive; measuring them takes some 10 ms.
        """
        peak, live = read_peak_bytes(), read_resident_bytes()
        extra = compute_children_bytes(self.others) if children else 0
        self.ended.append(Phase(name=name, peak=peak, live=live, children=extra))
        self.resettable = reset_peak()

    def as_dicts(self) -> list[dict]:
        """The phases as the worker's messages contain them."""
        return [phase.model_dump() for phase in self.ended]


def read_peak_bytes(status: Path | None = None) -> int | None:
    """The highest resident size since the start or the last `reset_peak`, in bytes; None on systems without /proc.

    Args:
        status: the status file of another process.
    """
    return _read_field("VmHWM", status or STATUS)


def read_resident_bytes() -> int | None:
    """The current resident size, in bytes; None on systems without /proc."""
    return _read_field("VmRSS", STATUS)


def reset_peak() -> bool:
    """Reset the peak to the current size; returns False if the system does not allow it."""
    try:
        CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


def add_phases(phases: Sequence[Phase]) -> Phase:
    """The memory of several processes in one phase: the sum of their peaks, and the peak of each.

    The peaks may have been reached at different moments, and pages of files that several processes map count in each.
    """
    peaks, lives = [phase.peak for phase in phases], [phase.live for phase in phases]
    return Phase(
        name=phases[0].name,
        peak=None if None in peaks else sum(filter(None, peaks)),
        live=None if None in lives else sum(filter(None, lives)),
        children=sum(phase.children for phase in phases),
        processes=tuple(peaks),
    )


def compute_children_bytes(without: Collection[int] = ()) -> int:
    """The memory of this process' descendants in addition to its own, in bytes; shared pages count once.

    The proportional sizes (PSS, proc(5)) of a process family's anonymous and shared memory add up to its pages, each
    counted once. Files are left out: their pages are also mapped by this process, and by other workers, so that they
    would count less when more workers are alive. 0 if the system does not report PSS; Linux does since 5.9.

    Args:
        without: process numbers of children that are left out, with their own descendants.
    """
    own = [_read_field(name, STATUS) for name in ("RssAnon", "RssShmem")]
    mine = read_private_bytes("self")
    if None in own or mine is None:
        return 0
    theirs = [read_private_bytes(pid) for pid in _list_descendants(without)]
    return max(0, mine + sum(filter(None, theirs)) - sum(filter(None, own)))


def _list_descendants(without: Collection[int]) -> list[int]:
    direct = try_read(lambda: psutil.Process().children()) or []
    kept = [child for child in direct if child.pid not in without]
    below = [one for child in kept for one in try_read(partial(child.children, recursive=True)) or []]
    return [child.pid for child in (*kept, *below)]


def read_private_bytes(process: int | str) -> int | None:
    """A process' share of anonymous and shared memory in bytes; None if it has ended or it is not reported."""
    sizes = [_read_field(name, Path("/proc") / str(process) / SHARES) for name in ("Pss_Anon", "Pss_Shmem")]
    return None if None in sizes else sum(filter(None, sizes))


def _read_field(name: str, file: Path) -> int | None:
    try:
        found = re.search(rf"^{name}:\s+(\d+) kB$", file.read_text(), re.MULTILINE)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None
