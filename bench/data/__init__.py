"""The data sets that a task can name, as arrays. A new one is one module, one entry in `SOURCES` and one in
`backends.task_entries.DATASETS`, or comes with a package.
"""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from backends.task_entries import DATASETS, is_image_set
from bench.data import cifar10, digits, packaged
from bench.data.dataset import Dataset
from bench.errors import UserError, make_unknown_error

__all__ = ["SOURCES", "Dataset", "load"]

SOURCES = MappingProxyType({"cifar10": cifar10, "digits": digits})


def load(name: str, data_dir: Path | None = None, progress: bool = True) -> Dataset:
    """Load the data set called `name`.

    Args:
        name: an entry of the table of data sets.
        data_dir: has CIFAR-10, see `cifar10.load`; data sets that come with a package ignore it.
        progress: whether a download shows a bar on stderr.

    Raises:
        Unavailable: it is not on this machine and cannot be downloaded.
        UserError: no such data set, or `data_dir` does not have it.
    """
    if name not in DATASETS:
        raise make_unknown_error("data set", name, DATASETS)
    if is_image_set(name):
        raise UserError(f"data set {name} is of a user's own images: give them with --images")
    return SOURCES[name].load(data_dir, progress) if name in SOURCES else packaged.load(name)


def find_location(name: str, data_dir: Path | None = None) -> str:
    """Describe where the data set called `name` is on this machine; downloads nothing.

    Raises:
        UserError: it is not here; the line says what to do.
    """
    return SOURCES[name].find_location(data_dir) if name in SOURCES else packaged.find_location(name)


def reads_folder(name: str) -> bool:
    """Whether the data set called `name` is read from the user's `data_dir`."""
    return name in SOURCES and SOURCES[name].READS_FOLDER
