"""The cache of features: what a frozen backbone computes of a data set's images, kept in home, made once.

An entry is one safetensors file, `features/<key>.safetensors`, with `train` (n, d) and `test` (m, d) float32, and the
key, their checksum and the seconds that they took to compute in its metadata. It is complete or absent. Beside it lies
an empty lock, which stays: who removed one that another process waits for would let two of them make the same.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from backends.task import Task, Variant
from bench.cache.home import home

try:
    import fcntl
except ImportError:  # Windows: two that want the same entry both make it
    fcntl = None  # type: ignore[assignment]

FOLDER = "features"
ENDING, UNFINISHED, LOCK = ".safetensors", ".part", ".lock"
#: Bytes of a file beside its arrays, at most.
HEADER = 1024


@dataclass(frozen=True)
class Features:
    """What was obtained.

    Attributes:
        train, test: pooled features (n, d) and (m, d), float32.
        hit: whether they were in the cache.
        extraction_s: seconds that computing them took, now or when the entry was made.
        problem: why an entry was not used, or could not be kept; None where all went well.
    """

    train: np.ndarray
    test: np.ndarray
    hit: bool
    extraction_s: float
    problem: str | None


@dataclass(frozen=True)
class Entry:
    """A file of the cache: its size in bytes, and when it was used last, in seconds since 1970."""

    path: Path
    size: int
    used: float


def folder() -> Path:
    """Where entries lie."""
    return home() / FOLDER


def key(backend: str, task: Task, variant: Variant, checkpoint: str, dataset: str) -> str:
    """What features depend on, in 16 hex digits: backbone and weights, images, preprocessing, precision and backend.

    Args:
        checkpoint: hash of the weights.
        dataset: fingerprint of the images.
    """
    told = {
        "backend": backend,
        "backbone": task.backbone,
        "checkpoint": checkpoint,
        "dataset": dataset,
        "preprocessing": [task.image_size, task.mean, task.std],
        "precision": variant.precision,
    }
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def obtain(file: Path, limit: int, extract: Callable[[], tuple[np.ndarray, np.ndarray, float]]) -> Features:
    """The features in `file`, or what `extract` computes, which is kept there.

    Whoever wants the same entry meanwhile waits and finds it. An entry that is damaged, or of other features, is made
    again. Where none can be kept, training goes on with what was computed.

    Args:
        file: the entry.
        limit: bytes that all entries together may take; those that were not used for longest go first.
        extract: training features, test features, and the seconds they took.
    """
    problem: str | None = None
    with contextlib.ExitStack() as stack:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_locked(file.with_suffix(LOCK)))
        except OSError as error:
            problem = f"{file.parent} cannot be used ({error.strerror})"
        if file.is_file():
            try:
                return _read(file)
            except (OSError, ValueError, KeyError, SafetensorError) as error:
                problem = f"the entry {file.name} is damaged ({str(error).splitlines()[0]}), it was made again"
        train, test, seconds = extract()
        size = train.nbytes + test.nbytes
        if size + HEADER > limit:  # found out before others make room for it
            problem = f"{size:,} bytes of features are more than the limit of {limit:,} bytes"
            return Features(train, test, False, seconds, problem)
        try:
            _write(file, train, test, seconds)
            _keep_below(limit, file)
        except (OSError, SafetensorError) as error:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
            problem = f"features could not be kept in {file.parent} ({getattr(error, 'strerror', None) or error})"
    return Features(train, test, False, seconds, problem)


def entries() -> list[Entry]:
    """All entries, the one that was used last at the end."""
    return sorted(_files(ENDING), key=lambda entry: entry.used)


def clear() -> int:
    """Remove all entries, and what was left unfinished, but for what somebody is making now; the bytes that are free
    again.
    """
    return sum(map(_removed, [*entries(), *_files(UNFINISHED)]))


def _files(ending: str) -> Iterator[Entry]:
    """Of all files with this ending those that another process does not remove meanwhile."""
    for path in folder().glob(f"*{ending}"):
        with contextlib.suppress(OSError):
            about = path.stat()
            yield Entry(path, about.st_size, about.st_mtime)


def _removed(entry: Entry) -> int:
    """The bytes that removing it frees; none where somebody holds its lock."""
    try:
        with _locked(entry.path.with_suffix(LOCK), wait=False):
            entry.path.unlink()
    except OSError:
        return 0
    return entry.size


def _read(file: Path) -> Features:
    with safe_open(file, framework="numpy") as opened:  # memory-mapped: pages come when they are asked for
        told = opened.metadata() or {}
        train, test = opened.get_tensor("train"), opened.get_tensor("test")
    if told.get("key") != file.stem:
        raise ValueError("it is of other features")
    if _checksum(train, test) != told["sha256"]:
        raise ValueError("its checksum is another")
    with contextlib.suppress(OSError):  # that it was used cannot be noted in a home that is only read
        os.utime(file)
    return Features(train, test, True, float(told["extraction_s"]), None)


def _write(file: Path, train: np.ndarray, test: np.ndarray, seconds: float) -> None:
    unfinished = file.with_suffix(UNFINISHED)
    try:
        told = {"key": file.stem, "sha256": _checksum(train, test), "extraction_s": repr(seconds)}
        save_file({"train": train, "test": test}, unfinished, told)
        unfinished.replace(file)  # not synchronised: what a power cut leaves of it, its checksum finds out
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _keep_below(limit: int, newest: Path) -> None:
    """Remove what was left unfinished, and then what was not used for longest."""
    for unfinished in _files(UNFINISHED):
        _removed(unfinished)
    kept = newest.stat().st_size
    for entry in reversed([entry for entry in entries() if entry.path != newest]):
        kept += entry.size
        if kept > limit:
            _removed(entry)


def _checksum(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@contextlib.contextmanager
def _locked(path: Path, wait: bool = True) -> Iterator[None]:
    """A block that no other process is in with the same path.

    Raises:
        OSError: the lock cannot be made, or is held by another and was not to be waited for.
    """
    with path.open("w") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        yield
