"""Runs on disk: the folders `results/<UTC>-<suite>/`, in which every file is complete or absent.

A record is the file `records/<case>-<launch>.json` with the content `{"sha256": ..., "record": ...}`; the checksum is
that of the record's JSON with sorted keys and without blanks. A loss that is not finite is written as Python's `NaN`
or `Infinity`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

from bench.errors import UserError, make_unknown_error
from bench.records.checksummed_json import read_checksummed_folder, to_checksummed_json
from bench.records.record import SCHEMA, Record

RECORDS = "records"
#: What is written to find out whether a file can be written: a full disk still takes an empty file.
PROBE = bytes(4096)
#: The file of a folder that git is to ignore.
IGNORE_FILE, IGNORE_ALL = ".gitignore", "*\n"
RUN_NAME = re.compile(r"\d{8}T\d{6}Z-.+")
Result = TypeVar("Result")


def create_run(results_dir: Path, suite: str, now: datetime, records: str = RECORDS, *, ignored: bool = False) -> Path:
    """Create a new, empty run folder. If the name is taken, it gets `-2`, `-3`, ...: no run is ever overwritten.

    Args:
        results_dir: the folder of all runs; created if it does not exist.
        suite: the suite's name or path; of a path, the stem is used.
        now: the current time, with a time zone.
        records: the name of the subfolder for the records.
        ignored: whether git is to ignore it: it may lie in the repository whose working tree is measured.

    Raises:
        UserError: the folder cannot be created.
    """
    suite_name = quote(Path(suite).stem, safe="-_.=+@")
    name = f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{suite_name}"
    count = 1
    make_folder(results_dir)
    while True:
        run = results_dir / (name if count == 1 else f"{name}-{count}")
        try:
            _attempt(run.mkdir, run, None)
        except FileExistsError:
            count += 1
            continue
        _attempt((run / records).mkdir, run, None)
        if ignored:
            write_text(run / IGNORE_FILE, IGNORE_ALL)
        return run


def write_record(run: Path, record: Record) -> Path:
    """Write one record into its run, atomically, and return its path.

    Raises:
        UserError: the disk is full, or the folder is not writable.
    """
    # A case's id is task/backend/variant.
    path = run / RECORDS / f"{quote(record.case.replace('/', '__'), safe='-_.=+@')}-{record.launch}.json"
    write_text(path, to_checksummed_json("record", record) + "\n", finished_in=run)
    return path


def read_records(run: Path) -> tuple[list[Record], list[str]]:
    """Read the records of a run, sorted by case and launch, and a message for each file that is not usable.

    Raises:
        UserError: `run` is not a run.
    """
    if not (run / RECORDS).is_dir():
        raise UserError(f"{run} is not a run: it has no folder {RECORDS!r}")
    records, problems = read_checksummed_folder("record", run / RECORDS, Record, SCHEMA)
    return sorted(records, key=lambda r: (r.case, r.launch)), problems


def list_runs(results_dir: Path, *records: str) -> list[Path]:
    """List the runs in a folder, oldest first: subfolders with a run's name that contain one of the folders `records`.

    Args:
        results_dir: the folder of all runs.
        records: names of the subfolder for the records, `RECORDS` by default.
    """
    if not results_dir.is_dir():
        return []
    candidates = (path for path in results_dir.iterdir() if RUN_NAME.fullmatch(path.name))
    return sorted((path for path in candidates if _has_records(path, records)), key=_creation_order)


def _has_records(path: Path, records: Sequence[str]) -> bool:
    return any((path / name).is_dir() for name in records or (RECORDS,))


def find_run(results_dir: Path, name_or_path: str | Path | None = None, *records: str) -> Path:
    """Find a run by its path or by its name in `results_dir`; without either, the newest one.

    Args:
        results_dir: the folder of all runs.
        name_or_path: of the run.
        records: names of the subfolder for the records, `RECORDS` by default.

    Raises:
        UserError: there is no run, or none of this name; the message suggests the nearest name.
    """
    known = list_runs(results_dir, *records)
    if name_or_path is None:
        if not known:
            raise UserError(f"there is no run in {results_dir} yet: run the benchmark first")
        return known[-1]
    for path in (Path(name_or_path), results_dir / name_or_path):
        if _has_records(path, records):
            return path
    if not known:
        raise UserError(f"unknown run {str(name_or_path)!r}: there is no run in {results_dir} yet")
    raise make_unknown_error("run", Path(name_or_path).name, [path.name for path in known])


def write_text(path: Path, text: str, *, finished_in: Path | None = None) -> None:
    """Write a text file atomically: after a crash it has the complete old or the complete new content.

    Args:
        path: the file, in a folder that exists.
        text: written as UTF-8.
        finished_in: the folder that the message about a full disk names as the place of what is finished; by default
            the file's own folder.

    Raises:
        UserError: the disk is full, or the folder is not writable.
    """
    # A path in the text may have bytes that are no UTF-8.
    write_bytes(path, text.encode(errors="replace"), finished_in=finished_in)


def write_bytes(path: Path, content: bytes, *, finished_in: Path | None = None) -> None:
    """Write a file of bytes as `write_text` writes a text.

    Raises:
        UserError: the disk is full, or the folder is not writable.
    """
    _attempt(partial(_replace, path, content), path, finished_in or path.parent)


def check_writable(path: Path) -> None:
    """Check that a file can be written, before the measurement that it is for; nothing is left behind.

    Raises:
        UserError: it is a folder, its folder does not exist or is not writable, or the disk is full.
    """
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder: give the name of a file")
    if _is_special(path):
        return
    probe = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _attempt(partial(probe.write_bytes, PROBE), path, None)
    finally:
        with contextlib.suppress(OSError):
            probe.unlink(missing_ok=True)


def append_text(path: Path, text: str) -> None:
    """Append to a text file, which is made if it does not exist.

    Raises:
        UserError: the disk is full, or the file is not writable.
    """

    def append() -> None:
        with path.open("a", encoding="utf-8", errors="replace") as file:
            file.write(text)

    _attempt(append, path, None)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, where they do not exist.

    Raises:
        UserError: it cannot be created.
    """
    try:
        _attempt(partial(folder.mkdir, parents=True, exist_ok=True), folder, None)
    except FileExistsError:  # a file, or a link to a folder that does not exist
        raise UserError(f"cannot write {folder}: it is no folder: choose another one") from None


def _is_special(path: Path) -> bool:
    """Whether the path is a device or a pipe, as /dev/stdout; it is written to, and not replaced by a file."""
    return path.exists() and not path.is_file()


def _replace(path: Path, content: bytes) -> None:
    if _is_special(path):
        path.write_bytes(content)
        return
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
        # The new name survives a crash only after the folder is synchronised, too.
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _attempt(action: Callable[[], Result], path: Path, finished_in: Path | None) -> Result:
    """Run `action` on `path` and turn an OSError into a UserError of one line; FileExistsError is passed on."""
    try:
        return action()
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            if finished_in:
                raise UserError(
                    f"the disk is full: {path} could not be written; what is finished lies in {finished_in}"
                ) from error
            raise UserError(f"the disk is full: {path} could not be written: free some space") from error
        raise UserError(
            f"cannot write {path}: {error.strerror or error}: choose a folder that can be written"
        ) from error


def _creation_order(run: Path) -> tuple[str, str, int]:
    """Sort key of runs: by time, and `...-quick-10` behind `...-quick-2`."""
    stamp, _, rest = run.name.partition("-")
    suite, _, count = rest.rpartition("-")
    return (stamp, suite, int(count)) if suite and count.isdigit() else (stamp, rest, 1)
