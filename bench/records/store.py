"""Runs on disk: `results/<UTC>-<suite>/`, where every file is complete or absent.

A record lies in `records/<case>-<launch>.json` as `{"sha256": ..., "record": ...}`; the checksum is of the
record's JSON with sorted keys and no blanks. A loss that is not finite stands there as Python's `NaN` or
`Infinity`.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from bench.errors import UserError, unknown
from bench.records.checksummed_json import seal, unseal
from bench.records.record import SCHEMA, Record

RECORDS = "records"
RUN_NAME = re.compile(r"\d{8}T\d{6}Z-.+")
Result = TypeVar("Result")


def create(results_dir: Path, suite: str, now: datetime, records: str = RECORDS) -> Path:
    """A new, empty run folder; a name that is taken gets `-2`, `-3`, ...: no run is ever overwritten.

    Args:
        results_dir: made where it does not exist.
        suite: its name, or a path, of which the stem is taken.
        now: with a time zone.
        records: the folder within it that the records are for.

    Raises:
        UserError: the folder cannot be made.
    """
    suite_name = quote(Path(suite).stem, safe="-_.=+@")
    name = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{suite_name}"
    count = 1
    while True:
        run = results_dir / (name if count == 1 else f"{name}-{count}")
        try:
            _attempt(partial(run.mkdir, parents=True), run, None)
        except FileExistsError:
            count += 1
            continue
        _attempt((run / records).mkdir, run, None)
        return run


def write_record(run: Path, record: Record) -> Path:
    """Write one record into its run, atomically; returns its path.

    Raises:
        UserError: the disk is full, or the folder is not writable.
    """
    # Slashes separate task, backend and variant in a case's id.
    path = run / RECORDS / f"{quote(record.case.replace('/', '__'), safe='-_.=+@')}-{record.launch}.json"
    write_text(path, seal("record", record) + "\n", finished_in=run)
    return path


def read(run: Path) -> tuple[list[Record], list[str]]:
    """The records of a run, by case and launch, and one line for each file that had to be left out.

    Raises:
        UserError: `run` is not a run.
    """
    if not (run / RECORDS).is_dir():
        raise UserError(f"{run} is not a run: it has no folder {RECORDS!r}")
    records, problems = [], []
    for path in sorted((run / RECORDS).glob("*.json")):
        try:
            records.append(unseal("record", path.read_bytes(), Record, SCHEMA))
        except (ValueError, OSError) as error:
            problems.append(f"{RECORDS}/{path.name} is left out: {error}")
    return sorted(records, key=lambda r: (r.case, r.launch)), problems


def runs(results_dir: Path, *records: str) -> list[Path]:
    """The runs in a folder, oldest first: what has a name like theirs and a folder called so, `RECORDS` by default."""
    if not results_dir.is_dir():
        return []
    named = (path for path in results_dir.iterdir() if RUN_NAME.fullmatch(path.name))
    return sorted((path for path in named if _is_run(path, records)), key=_age)


def _is_run(path: Path, records: Sequence[str]) -> bool:
    return any((path / one).is_dir() for one in records or (RECORDS,))


def find(results_dir: Path, name_or_path: str | Path | None = None, *records: str) -> Path:
    """A run by its path or by its name in `results_dir`; without either, the newest one.

    Args:
        records: names of the folder that a run of the kinds meant has, `RECORDS` by default.

    Raises:
        UserError: there is none; a name that is nearly right is answered with the right one.
    """
    known = runs(results_dir, *records)
    if name_or_path is None:
        if not known:
            raise UserError(f"there is no run in {results_dir} yet: run the benchmark first")
        return known[-1]
    for path in (Path(name_or_path), results_dir / name_or_path):
        if _is_run(path, records):
            return path
    if not known:
        raise UserError(f"unknown run {str(name_or_path)!r}: there is no run in {results_dir} yet")
    raise unknown("run", Path(name_or_path).name, [path.name for path in known])


def write_text(path: Path, text: str, *, finished_in: Path | None = None) -> None:
    """Write a file so that a reader, or a machine that dies, sees the old content or the whole new one.

    Args:
        path: in a folder that exists.
        text: written as UTF-8.
        finished_in: the folder to name to a user whose disk is full; the file's own where it is None.

    Raises:
        UserError: the disk is full, or the folder is not writable.
    """
    write_bytes(path, text.encode(), finished_in=finished_in)


def write_bytes(path: Path, content: bytes, *, finished_in: Path | None = None) -> None:
    """As `write_text`, of bytes.

    Raises:
        UserError: the disk is full, or the folder is not writable.
    """
    _attempt(partial(_replace, path, content), path, finished_in or path.parent)


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it lies in, where they do not exist.

    Raises:
        UserError: it cannot be made.
    """
    _attempt(partial(folder.mkdir, parents=True, exist_ok=True), folder, None)


def _replace(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    if os.name == "posix":
        # The new name is durable only once its folder is.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _attempt(action: Callable[[], Result], path: Path, finished_in: Path | None) -> Result:
    """Do something to `path`, and say in one line why it fails; an existing path stays an OSError."""
    try:
        return action()
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            rest = f"; what is finished lies in {finished_in}" if finished_in else ""
            raise UserError(f"the disk is full: {path} could not be written{rest}") from error
        raise UserError(
            f"cannot write {path}: {error.strerror or error}: choose a folder that can be written"
        ) from error


def _age(run: Path) -> tuple[str, str, int]:
    """Sorts `...-quick-10` behind `...-quick-2`."""
    stamp, _, rest = run.name.partition("-")
    suite, _, count = rest.rpartition("-")
    return (stamp, suite, int(count)) if suite and count.isdigit() else (stamp, rest, 1)
