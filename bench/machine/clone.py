"""The clones of this suite on this machine: several can share a Python environment, which has one of them installed."""

from __future__ import annotations

from pathlib import Path

from bench.machine.environment import PROJECT

#: A folder with this file is a clone; a revision without it has no workers that could be started.
WORKER_FILE = "bench/worker/__main__.py"


def find_clone(folder: Path) -> Path | None:
    """Find the clone of this suite that contains `folder`; None outside of one."""
    return next((place for place in (folder, *folder.parents) if (place / WORKER_FILE).is_file()), None)


def explain_other_clone(folder: Path) -> str | None:
    """Explain that the code of another clone than that of `folder` is measured; None if it is the same, or no clone."""
    clone = find_clone(folder)
    if clone is None or clone == PROJECT:
        return None
    return f"This measures the code in {PROJECT}, not the one in {clone}: for that, run python -m bench there."
