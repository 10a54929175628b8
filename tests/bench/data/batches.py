"""Makers of CIFAR-10's files: small batches of random images, in the published format."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np

from bench.data import cifar10

BATCHES = (*cifar10.TRAIN, cifar10.TEST)


class Python2Pickler(pickle._Pickler):
    """Writes strings as Python 2 did, which is how the published files have them."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_python2_string(self, text: bytes) -> None:
        self.write(pickle.BINSTRING + struct.pack("<i", len(text)) + text)
        self.memoize(text)

    dispatch[bytes] = save_python2_string


class RunsCode:
    """An object whose pickle would make a file when it is read."""

    def __init__(self, witness: Path):
        self.witness = witness

    def __reduce__(self):
        return os.system, (f"touch {self.witness}",)


def python2_pickle(content) -> bytes:
    file = io.BytesIO()
    Python2Pickler(file, protocol=2).dump(content)
    return file.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def batch(number: int, images: int = 3) -> dict[bytes, object]:
    rows = np.random.default_rng(number).integers(0, 256, (images, 3072), dtype=np.uint8)
    return {b"data": rows, b"labels": [(number + i) % 10 for i in range(images)]}


def binary_batch(number: int) -> bytes:
    content = batch(number)
    return np.concatenate([np.array(content[b"labels"], np.uint8)[:, None], content[b"data"]], axis=1).tobytes()


def write_folder(folder: Path) -> Path:
    """Write a folder in the published format with three images per batch."""
    folder.mkdir(parents=True)
    for number, name in enumerate(BATCHES):
        (folder / name).write_bytes(python2_pickle(batch(number)))
    return folder


def archive(*members: tuple[str, bytes], mode: str = "w:gz") -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as tar:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return file.getvalue()


def published_archive() -> bytes:
    return archive(*((f"{cifar10.FOLDER}/{name}", python2_pickle(batch(i))) for i, name in enumerate(BATCHES)))


def binary_archive() -> bytes:
    return archive(*((f"cifar-10-batches-bin/{name}.bin", binary_batch(i)) for i, name in enumerate(BATCHES)))
