"""The cache of features: what a frozen backbone computes of a data set's images, kept in home, made once.

An entry is one safetensors file, `features/<key>.safetensors`, with `train` (n, d) and `test` (m, d) float32, and their
checksum and the seconds that they took to compute in its metadata. It is complete or absent.
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
from bench.home import home

try:
    import fcntl
except ImportError:  # Windows: two that want the same entry both make it
    fcntl = None  # type: ignore[assignment]

FOLDER = "features"
ENDING = ".safetensors"


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

    Whoever wants the same entry meanwhile waits and finds it. An entry that is damaged is made again. Where none can
    be kept, training goes on with what was computed.

    Args:
        file: the entry.
        limit: bytes that all entries together may take; those that were not used for longest go first.
        extract: training features, test features, and the seconds they took.
    """
    problem: str | None = None
    with contextlib.ExitStack() as stack:
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            stack.enter_context(_locked(file.with_suffix(".lock")))
        except OSError as error:
            problem = f"{file.parent} cannot be used ({error.strerror})"
        if file.is_file():
            try:
                return _read(file)
            except (OSError, ValueError, KeyError, SafetensorError) as error:
                problem = f"the entry {file.name} is damaged ({str(error).splitlines()[0]}), it was made again"
        train, test, seconds = extract()
        try:
            _write(file, train, test, seconds)
            _keep_below(limit, file)
        except (OSError, SafetensorError) as error:
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)
            problem = f"features could not be kept in {file.parent} ({getattr(error, 'strerror', None) or error})"
        if file.is_file() and file.stat().st_size > limit:
            file.unlink()
            problem = f"{train.nbytes + test.nbytes:,} bytes of features are more than the limit of {limit:,} bytes"
    return Features(train, test, False, seconds, problem)


def entries() -> list[Path]:
    """All entries, the one that was used last at the end."""
    return sorted(folder().glob(f"*{ENDING}"), key=lambda entry: entry.stat().st_mtime)


def clear() -> int:
    """Remove all entries; the bytes that are free again."""
    removed = 0
    for entry in entries():
        removed += entry.stat().st_size
        entry.unlink(missing_ok=True)
        entry.with_suffix(".lock").unlink(missing_ok=True)
    return removed


def _read(file: Path) -> Features:
    with safe_open(file, framework="numpy") as opened:  # memory-mapped: pages come when they are asked for
        told = opened.metadata() or {}
        train, test = opened.get_tensor("train"), opened.get_tensor("test")
    if _checksum(train, test) != told["sha256"]:
        raise ValueError("its checksum is another")
    os.utime(file)
    return Features(train, test, True, float(told["extraction_s"]), None)


def _write(file: Path, train: np.ndarray, test: np.ndarray, seconds: float) -> None:
    unfinished = file.with_suffix(".part")
    try:
        told = {"sha256": _checksum(train, test), "extraction_s": repr(seconds)}
        save_file({"train": train, "test": test}, unfinished, told)
        unfinished.replace(file)  # not synchronised: what a power cut leaves of it, its checksum finds out
    finally:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)


def _keep_below(limit: int, newest: Path) -> None:
    kept = newest.stat().st_size
    for entry in reversed([entry for entry in entries() if entry != newest]):
        kept += entry.stat().st_size
        if kept > limit:
            entry.unlink(missing_ok=True)


def _checksum(*arrays: np.ndarray) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.shape} {array.dtype.str}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
