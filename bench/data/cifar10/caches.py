"""The folders in which other programs keep CIFAR-10 after they have downloaded it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from bench.cache.home import find_files
from bench.data.cifar10.batch_files import ARCHIVES, BINARY_FOLDER, FOLDER


def list_places() -> Iterator[tuple[str, Path]]:
    """The cache, for people, and each folder or archive in it that may have the batches.

    Sources: `keras.utils.get_file`, which keeps an archive beside what it unpacked; the `root` of torchvision's
    examples, which has no cache of its own; `datasets.DownloadManager`, which names a file by a hash and keeps its
    address beside it; `tfds.download.DownloadManager`, which downloads the binary version.
    """
    keras = _get_folder("KERAS_HOME", "~/.keras") / "datasets"
    for name in (f"{FOLDER}-target/{FOLDER}", FOLDER, f"{FOLDER}-target_archive", f"{FOLDER}.tar.gz"):
        yield from _list_existing("Keras's cache", keras, name)
    for name in (FOLDER, BINARY_FOLDER, *ARCHIVES):
        yield from _list_existing("torchvision's data folder", Path("data").absolute(), name)
    downloads = _get_hugging_face_folder("HF_DATASETS_CACHE", "datasets") / "downloads"
    yield from _list_existing("Hugging Face's cache", downloads, f"extracted/*/{FOLDER}")
    for note in find_files(downloads, "*.json"):
        if _read_address(note).endswith(ARCHIVES) and note.with_suffix("").is_file():
            yield "Hugging Face's cache", note.with_suffix("")
    for name in ARCHIVES:
        yield from _list_existing("Hugging Face's cache", _get_hub_folder(), f"datasets--*/snapshots/*/{name}")
    tensorflow = _get_folder("TFDS_DATA_DIR", "~/tensorflow_datasets") / "downloads"
    for name in (f"extracted/*/{BINARY_FOLDER}", "*cifar-10-binary*.tar.gz", "*/*cifar-10-binary*.tar.gz"):
        yield from _list_existing("TensorFlow Datasets' cache", tensorflow, name)


def list_unread() -> Iterator[tuple[str, str, Path]]:
    """The cache, the format, and each folder that has CIFAR-10 in a format that is not read: none of the harness's
    dependencies reads it, and its images are the same.
    """
    hub, datasets = _get_hub_folder(), _get_hugging_face_folder("HF_DATASETS_CACHE", "datasets")
    tensorflow = _get_folder("TFDS_DATA_DIR", "~/tensorflow_datasets")
    for cache, kind, folder, pattern in (
        ("Hugging Face's cache", "Parquet", hub, "datasets--*cifar10/snapshots/*/**/*.parquet"),
        ("Hugging Face's cache", "Arrow", datasets, "*cifar10/**/*.arrow"),
        ("TensorFlow Datasets' cache", "TFRecord", tensorflow, "cifar10/*/*.tfrecord*"),
    ):
        if file := next(iter(find_files(folder, pattern)), None):
            yield cache, kind, file.parent


def _list_existing(cache: str, folder: Path, pattern: str) -> Iterator[tuple[str, Path]]:
    return ((cache, path) for path in find_files(folder, pattern))


def _get_folder(variable: str, default: str | Path) -> Path:
    """The folder in an environment variable, or its default."""
    return Path(os.environ.get(variable) or default)


def _get_hugging_face_folder(variable: str, name: str) -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return _get_folder(variable, _get_folder("HF_HOME", Path(caches, "huggingface")) / name)


def _get_hub_folder() -> Path:
    return _get_hugging_face_folder("HF_HUB_CACHE", "hub")


def _read_address(note: Path) -> str:
    """The address in a file beside a download."""
    try:
        return str(json.loads(note.read_text())["url"])
    except (OSError, ValueError, TypeError, KeyError):
        return ""
