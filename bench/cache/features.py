"""The cache of features: what a frozen backbone computes from a data set's images, kept in the home.

An entry is one safetensors file, `features/<key>.safetensors`, with `train` (n, d) and `test` (m, d) float32. Its
metadata has the key, a checksum, and the seconds of the computation. An entry is complete or absent. Each has an empty
lock file, which is never removed: after the removal of a lock for which another process waits, two processes could
compute the same entry.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from backends.task import Task, Variant
from bench.cache.file_lock import lock_file
from bench.cache.home import get_home

FOLDER = "features"
ENDING, UNFINISHED, LOCK = ".safetensors", ".part", ".lock"
#: The largest size of a file without its arrays, in bytes.
HEADER = 1024
#: Seconds between two attempts to get the lock of an entry that another process computes.
WAIT_SECONDS = 0.2


@dataclass(frozen=True)
class Features:
    """Features from the cache, or computed for it.

    Attributes:
        train, test: pooled features (n, d) and (m, d), float32.
        hit: whether they were in the cache.
        extraction_s: seconds of their computation, now or when the entry was written.
        problem: why an entry was not used or not written; None without a problem.
        form: the name of the form in which they were extracted; None in an entry of a version without forms.
    """

    train: np.ndarray
    test: np.ndarray
    hit: bool
    extraction_s: float
    problem: str | None
    form: str | None = None


class Extracted(NamedTuple):
    """Features that were just computed: of training and test images, the seconds that it took, and the form."""

    train: np.ndarray
    test: np.ndarray
    seconds: float
    form: str


@dataclass(frozen=True)
class Entry:
    """A file of the cache: its size in bytes, and the time of its last use, in seconds since 1970."""

    path: Path
    size: int
    used: float


def get_folder() -> Path:
    """The folder of the entries."""
    return get_home() / FOLDER


def make_key(backend: str, task: Task, variant: Variant, checkpoint: str, dataset: str) -> str:
    """The key of an entry: 16 hex digits of a hash of all that features depend on (backbone and weights, images,
    preprocessing, precision and backend).

    Args:
        checkpoint: hash of the weights.
        dataset: fingerprint of the images.
    """
    content = {
        "backend": backend,
        "backbone": task.backbone,
        "checkpoint": checkpoint,
        "dataset": dataset,
        "preprocessing": [task.image_size, task.mean, task.std],
        "precision": variant.precision,
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def obtain(
    file: Path, limit: int, extract: Callable[[], Extracted], on_wait: Callable[[], object] = lambda: None
) -> Features:
    """Read the features in `file`, or compute them by `extract` and write them there.

    Another process that needs the same entry waits for it. An entry that is damaged, or of other features, is computed
    again. If the entry cannot be written, the computed features are still returned.

    Args:
        file: the entry.
        limit: the largest size of all entries together, in bytes; the least recently used ones are removed first.
        extract: computes them.
        on_wait: called every `WAIT_SECONDS` while another process computes the same entry.
    """
    problem: str | None = None
    with contextlib.ExitStack() as stack:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_hold_lock(file.with_suffix(LOCK), on_wait))
        except OSError as error:
            problem = f"the folder {file.parent} cannot be used ({error.strerror})"
        if file.is_file():
            try:
                return _read(file)
            except (OSError, ValueError, KeyError, SafetensorError) as error:
                problem = f"the entry {file.name} is damaged ({str(error).splitlines()[0]}), it was made again"
        train, test, seconds, form = extract()
        size = train.nbytes + test.nbytes
        if size + HEADER > limit:  # checked before other entries are removed for it
            problem = f"{size:,} bytes of features are more than the limit of {limit:,} bytes"
            return Features(train, test, False, seconds, problem, form)
        try:
            _write(file, train, test, seconds, form)
            _limit_size(limit, file)
        except (OSError, SafetensorError) as error:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
            problem = f"features could not be written to {file.parent} ({getattr(error, 'strerror', None) or error})"
    return Features(train, test, False, seconds, problem, form)


def list_entries() -> list[Entry]:
    """All entries, the most recently used last."""
    return sorted(_find_files(ENDING), key=lambda entry: entry.used)


def clear() -> int:
    """Remove all entries and unfinished files, except those that a process is writing now; returns the freed bytes."""
    return sum(map(_remove, [*list_entries(), *_find_files(UNFINISHED)]))


def _find_files(ending: str) -> Iterator[Entry]:
    """The files with this ending; a file that another process removes meanwhile is left out."""
    for path in get_folder().glob(f"*{ending}"):
        with contextlib.suppress(OSError):
            status = path.stat()
            yield Entry(path, status.st_size, status.st_mtime)


def _remove(entry: Entry) -> int:
    """Remove a file; returns the freed bytes, which are 0 if another process holds its lock."""
    try:
        with _hold_lock(entry.path.with_suffix(LOCK), None):
            entry.path.unlink()
    except OSError:
        return 0
    return entry.size


def _read(file: Path) -> Features:
    with safe_open(file, framework="numpy") as opened:  # memory-mapped: pages are read on their first use
        metadata = opened.metadata() or {}
        train, test = opened.get_tensor("train"), opened.get_tensor("test")
    if metadata.get("key") != file.stem:
        raise ValueError("it has other features")
    if _compute_checksum(train, test) != metadata["sha256"]:
        raise ValueError("its checksum differs")
    with contextlib.suppress(OSError):  # in a read-only home the time of use cannot be set
        os.utime(file)
    return Features(train, test, True, float(metadata["extraction_s"]), None, metadata.get("form"))


def _write(file: Path, train: np.ndarray, test: np.ndarray, seconds: float, form: str) -> None:
    unfinished = file.with_suffix(UNFINISHED)
    try:
        checksum = _compute_checksum(train, test)
        metadata = {"key": file.stem, "sha256": checksum, "extraction_s": repr(seconds), "form": form}
        save_file({"train": train, "test": test}, unfinished, metadata)
        unfinished.replace(file)  # without fsync: the checksum detects what a power cut damages
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _limit_size(limit: int, newest: Path) -> None:
    """Remove unfinished files, and then the least recently used entries until the others fit into `limit` bytes."""
    for unfinished in _find_files(UNFINISHED):
        _remove(unfinished)
    size = newest.stat().st_size
    for entry in reversed([entry for entry in list_entries() if entry.path != newest]):
        size += entry.size
        if size > limit:
            _remove(entry)


def _compute_checksum(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@contextlib.contextmanager
def _hold_lock(path: Path, on_wait: Callable[[], object] | None) -> Iterator[None]:
    """Hold the lock in the file `path` during a block.

    Args:
        on_wait: called every `WAIT_SECONDS` while another process holds it; None not to wait for it.

    Raises:
        OSError: the lock cannot be made; or another process holds it, and there is no `on_wait`.
    """
    with path.open("w") as file:
        while True:
            try:
                lock_file(file.fileno(), wait=False)  # without locks, two processes that need an entry both compute it
                break
            except BlockingIOError:
                if on_wait is None:
                    raise
                on_wait()
                time.sleep(WAIT_SECONDS)
        yield
