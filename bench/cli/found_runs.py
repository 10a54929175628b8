"""The runs that a command line names, as folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.errors import UserError


def find_runs(names: Sequence[str], results: Path) -> list[Path]:
    """Find runs by their names or folders; the runs of a merged folder stand for it.

    Args:
        names: of runs and merged runs, or their folders.
        results: the folder of all runs.

    Raises:
        UserError: one is unknown, or is the result of another command.
    """
    from bench.compare.merged_runs import list_merged
    from bench.records.result_kinds import find_kind

    folders: list[Path] = []
    for name in names:
        folder = _find_result(name, results)
        folders += list_merged(folder) if find_kind(folder) == "merge" else [_check_run(folder)]
    return folders


def find_single_run(name: str, results: Path) -> Path:
    """Find one run by its name or folder.

    Raises:
        UserError: it is unknown, or is the result of another command.
    """
    return _check_run(_find_result(name, results))


def _find_result(name: str, results: Path) -> Path:
    from bench.records import store
    from bench.records.result_kinds import KINDS

    return store.find_run(results, name, *KINDS)


def _check_run(folder: Path) -> Path:
    from bench.compare.merged_runs import FOLDER
    from bench.records import store
    from bench.records.result_kinds import find_kind

    if (folder / store.RECORDS).is_dir():
        return folder
    kind = find_kind(folder)
    if kind == "merge":
        raise UserError(f"{folder} has runs of several machines: choose one of those in {folder / FOLDER}")
    raise UserError(f"{folder} is the result of bench {kind}: choose a run (see bench list runs)")
