"""Runs of one task and suite from several machines in one folder: each machine stays a run of its own.

The folder is `results/<UTC>-<suite>-merged/`, and each run is a folder in its `machines/`, with the records as they
were measured: nothing can mix their launches. `machines/` is itself a folder of results.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from bench.compare.differences import find_task_difference
from bench.compare.stored_run import StoredRun, read_runs
from bench.errors import UserError
from bench.records import store
from bench.records.checksummed_json import parse_checksummed_json
from bench.records.record import SCHEMA, Record
from bench.records.result_kinds import FOLDERS
from bench.report import exporters
from bench.report.run_report import read_report

FOLDER = FOLDERS["merge"]


def list_merged(folder: Path) -> list[Path]:
    """List the runs of a merged folder, oldest first."""
    return store.list_runs(folder / FOLDER)


def read_merged(folder: Path) -> list[StoredRun]:
    """Read the runs of a merged folder.

    Raises:
        UserError: it has none, or none of a run's records can be read.
    """
    folders = list_merged(folder)
    if not folders:
        raise UserError(f"{folder} has no run in {FOLDER}/: merge the runs again with bench merge")
    return read_runs(folders)


def merge_runs(runs: Sequence[StoredRun], into: Path) -> Path:
    """Copy the records of runs into one folder, each run in a folder of its own; return the folder.

    The folder is complete or absent: it gets its name when all is written.

    Args:
        runs: two or more, of one suite and the same tasks.
        into: the folder, which does not exist yet or is empty.

    Raises:
        UserError: the runs differ in suite or tasks, or the folder has something in it or cannot be written.
    """
    check_same(runs)
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise UserError(f"cannot merge into {into}: it is there already: choose another --into")
    store.make_folder(into.parent)
    unfinished = into.with_name(f".{into.name}.{os.getpid()}.tmp")
    try:
        for run in runs:
            _copy(run, unfinished / FOLDER)
        if into.exists():
            into.rmdir()
        unfinished.rename(into)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return into


def name_folder(runs: Sequence[StoredRun], results: Path, now: datetime) -> Path:
    """Choose the folder of a merge in the folder of results; a name that is taken gets `-2`, `-3`, ..."""
    name = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{quote(Path(runs[0].suite).stem, safe='-_.=+@')}-merged"
    return _find_free(results, name)


def check_same(runs: Sequence[StoredRun]) -> None:
    """Check that all runs measured the same suite, tasks, images and weights.

    Raises:
        UserError: they did not; the line says what differs.
    """
    first, *others = runs
    for other in others:
        if other.suite != first.suite:
            raise UserError(
                f"cannot merge: {first.name} measured the suite {first.suite} and {other.name} {other.suite}: "
                "merge runs of one suite; bench compare shows others side by side"
            )
        if reason := _find_difference(first, other):
            raise UserError(
                f"cannot merge {first.name} and {other.name}: {reason}: merge runs of the same tasks; bench compare "
                "shows others side by side"
            )


def _find_difference(first: StoredRun, other: StoredRun) -> str | None:
    own, theirs = ({(task.task.name, task.task.hash): task for task in run.tasks} for run in (first, other))
    for name, hash_ in dict.fromkeys((*own, *theirs)):
        if (name, hash_) not in own or (name, hash_) not in theirs:
            mine, yours = ([task for key, task in tasks.items() if key[0] == name] for tasks in (own, theirs))
            if mine and yours:
                return f"task {name} differs: {find_task_difference(mine[0], yours[0])}"
            return f"task {name} is only in {(first if mine else other).name}"
    for key, task in own.items():
        mine_first, theirs_first = task.cases[0].first, theirs[key].cases[0].first
        if mine_first.dataset_fingerprint != theirs_first.dataset_fingerprint:
            return f"task {key[0]} has other images"
        if mine_first.checkpoint_hash != theirs_first.checkpoint_hash:
            return f"task {key[0]} has another checkpoint"
    return None


def _copy(run: StoredRun, folder: Path) -> None:
    """Copy the records of a run that can be read, and make its other files from them."""
    name = quote(run.name, safe="-_.=+@")
    target = _find_free(folder, name if store.RUN_NAME.fullmatch(name) else f"00000000T000000Z-{name}")
    store.make_folder(target / store.RECORDS)
    for path in sorted((run.folder / store.RECORDS).glob("*.json")):
        content = path.read_bytes()
        if _is_readable(content):
            store.write_bytes(target / store.RECORDS / path.name, content)
    report, _ = read_report(target)
    exporters.write_report(target, report)


def _is_readable(content: bytes) -> bool:
    try:
        parse_checksummed_json("record", content, Record, SCHEMA)
    except ValueError:
        return False
    return True


def _find_free(folder: Path, name: str) -> Path:
    count = 1
    while (path := folder / (name if count == 1 else f"{name}-{count}")).exists():
        count += 1
    return path
