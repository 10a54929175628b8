"""The runs that a command line names, as folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.errors import UserError


def find_runs(names: Sequence[str], results: Path) -> list[Path]:
    """Find runs by their names or folders.

    Args:
        names: of runs, or their folders.
        results: the folder of all runs.

    Raises:
        UserError: one is unknown, or is a sweep.
    """
    return [find_single_run(name, results) for name in names]


def find_single_run(name: str, results: Path) -> Path:
    """Find one run by its name or folder.

    Raises:
        UserError: it is unknown, or is a sweep.
    """
    from bench.records import store
    from bench.sweep import sweep_record

    folder = store.find_run(results, name, store.RECORDS, sweep_record.FOLDER)
    if not (folder / store.RECORDS).is_dir():
        raise UserError(f"{folder} is a sweep: choose a run, as bench run makes it (see bench list runs)")
    return folder
