"""The data sets that a task can name, as arrays. A new one is one module and one entry in `SOURCES`."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from bench.data import cifar10, digits
from bench.data.dataset import Dataset
from bench.errors import make_unknown_error

__all__ = ["SOURCES", "Dataset", "load"]

SOURCES = MappingProxyType({"cifar10": cifar10, "digits": digits})


def load(name: str, data_dir: Path | None = None, progress: bool = True) -> Dataset:
    """Load the data set called `name`.

    Args:
        name: `cifar10` or `digits`.
        data_dir: has CIFAR-10, see `cifar10.load`; data sets that come with a package ignore it.
        progress: whether a download shows a bar on stderr.

    Raises:
        Unavailable: it is not on this machine and cannot be downloaded.
        UserError: no such data set, or `data_dir` does not have it.
    """
    if name not in SOURCES:
        raise make_unknown_error("data set", name, SOURCES)
    return SOURCES[name].load(data_dir, progress)


def find_location(name: str, data_dir: Path | None = None) -> str:
    """Describe where the data set called `name` is on this machine; downloads nothing.

    Raises:
        UserError: it is not here; the line says what to do.
    """
    return SOURCES[name].find_location(data_dir)


def reads_folder(name: str) -> bool:
    """Whether the data set called `name` is read from the user's `data_dir`."""
    return SOURCES[name].READS_FOLDER
