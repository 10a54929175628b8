"""CIFAR-10: from what the user gives, from the home, from another program's cache, or from the authors' site."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.cache.home import get_home
from bench.data.cifar10 import caches, download
from bench.data.cifar10.batch import read_batch
from bench.data.cifar10.batch_files import (
    ARCHIVES,
    BINARY_FOLDER,
    FOLDER,
    TEST,
    TRAIN,
    BatchFiles,
    find_batch_files,
    list_batch_files,
)
from bench.data.dataset import Dataset
from bench.errors import Unavailable, UserError

__all__ = ["FOLDER", "READS_FOLDER", "TEST", "TRAIN", "find_location", "load"]

#: Whether `load` reads `data_dir`.
READS_FOLDER = True
#: Training images of all five batches.
ALL = 50_000


def load(
    data_dir: Path | None = None,
    progress: bool = True,
    url: str | None = None,
    known_hash: str = download.KNOWN_HASH,
) -> Dataset:
    """Load CIFAR-10 from `data_dir`, else from the home, else from another program's cache, else by a download.

    Args:
        data_dir: has the batches of the Python or of the binary version, or their archive, in itself or up to three
            folders below; or is the archive. A batch may have any number of images; checksums are not compared with
            the published ones.
        progress: whether a download shows a bar on stderr.
        url: of the archive; by default `$HEADTOHEAD_CIFAR10_URL` (a mirror), else the authors' site.
        known_hash: checksum of the archive, in pooch's notation.

    Raises:
        Unavailable: it is not on this machine, and the download failed or has another checksum.
        UserError: what was found is not CIFAR-10.
    """
    if data_dir is not None:
        return _read_batches(find_batch_files(data_dir))
    if own := _find_in_home(known_hash):
        return _read_batches(own)
    for cache, found in _find_in_caches():
        return _read_batches(found, cache)
    folder = get_home() / "datasets" / FOLDER
    download.download(folder, url or os.environ.get("HEADTOHEAD_CIFAR10_URL") or download.URL, known_hash, progress)
    return _read_batches(list_batch_files(folder), source="download")


def find_location(data_dir: Path | None = None) -> str:
    """Describe what `load` would read; an archive is read to its end.

    Raises:
        Unavailable: there is nothing; `load` would download it.
        UserError: `data_dir` does not have it.
    """
    if data_dir is not None:
        return str(find_batch_files(data_dir).path)
    if own := _find_in_home():
        return str(own.path)
    for cache, found in _find_in_caches():
        return f"{found.path} ({cache})"
    unread = "".join(
        f"; {cache} has it as {kind} in {path}, which is not read" for cache, kind, path in caches.list_unread()
    )
    raise Unavailable(
        f"not in {get_home() / 'datasets'}: would be downloaded; or put {FOLDER} or {ARCHIVES[0]} there, "
        f"or give one of them with --data-dir{unread}"
    )


def _find_in_home(known_hash: str = "") -> BatchFiles | None:
    """What the user, or a download, has put into the home. The archive with the known hash is left to the download,
    which unpacks it; it would delete another one.

    Raises:
        UserError: it is not complete.
    """
    datasets = get_home() / "datasets"
    for path in (datasets / name for name in (FOLDER, BINARY_FOLDER, *ARCHIVES)):
        if path.is_dir() or (path.is_file() and not download.has_hash(path, known_hash)):
            return list_batch_files(path)
    return None


def _find_in_caches() -> Iterator[tuple[str, BatchFiles]]:
    """The caches of other programs that have all batches. What is incomplete is skipped, as if it were not there."""
    for cache, path in caches.list_places():
        try:
            yield cache, list_batch_files(path)
        except UserError:
            continue


def _read_batches(files: BatchFiles, cache: str | None = None, source: str | None = None) -> Dataset:
    """Read the six batches.

    Raises:
        UserError: a batch is missing or damaged, has another shape, or contains code.
    """
    images, labels = zip(*(read_batch(files, name) for name in TRAIN), strict=True)
    test_images, test_labels = read_batch(files, TEST)
    place = f"{files.kind} {files.path}"
    if cache:
        # Nobody chose this folder, so what is unusual about it is said.
        count = sum(map(len, images))
        place = f"{cache}, {place}" + ("" if count == ALL else f", {count:,} training images of {ALL:,}")
    return Dataset(
        "cifar10",
        np.concatenate(images),
        np.concatenate(labels),
        test_images,
        test_labels,
        source=source or place,
    )
