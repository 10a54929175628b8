"""The data sets: all that a task can name, as arrays. A new one is one module and one entry in `SOURCES`."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from bench.data import cifar10, digits
from bench.data.dataset import Dataset
from bench.errors import unknown

__all__ = ["SOURCES", "Dataset", "load"]

SOURCES = MappingProxyType({"cifar10": cifar10, "digits": digits})


def load(name: str, data_dir: Path | None = None, progress: bool = True) -> Dataset:
    """The data set called `name`.

    Args:
        name: `cifar10` or `digits`.
        data_dir: a folder that holds CIFAR-10's batches; data sets that come with a package ignore it.
        progress: whether a download shows a bar on stderr.

    Raises:
        Unavailable: it is not on this machine and cannot be downloaded.
        UserError: no such data set, or `data_dir` does not hold it.
    """
    if name not in SOURCES:
        raise unknown("data set", name, SOURCES)
    return SOURCES[name].load(data_dir, progress)


def where(name: str, data_dir: Path | None = None) -> str:
    """Where the data set called `name` lies on this machine; downloads nothing.

    Raises:
        UserError: nowhere; the line says what to do.
    """
    return SOURCES[name].where(data_dir)
