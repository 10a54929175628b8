"""PyTorch file: what `torch.save` writes, read without PyTorch and without running anything from it.

Two formats: since PyTorch 1.6 a zip archive with one pickle and a file for each storage; before, and with
`_use_new_zipfile_serialization=False`, five pickles with the storages after them. Source: `torch/serialization.py`
(https://github.com/pytorch/pytorch/blob/main/torch/serialization.py) and "Serialization semantics" in PyTorch's
documentation.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from bench.weights import inert_pickle
from bench.weights.inert_pickle import StoredView
from bench.weights.stored_tensor import ELEMENT_BYTES

#: The first object in a file of the old format.
MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
#: That object in the pickle's own bytes, by which the format is recognised.
OLD_SIGNATURE = b"\x8a\x0a" + MAGIC_NUMBER.to_bytes(10, "little")


@dataclass(frozen=True)
class PyTorchFile:
    """An opened file.

    Attributes:
        path: of the file.
        content: what was saved, with `StoredView` in place of tensors and `Placeholder` in place of other objects.
        starts: first byte of each storage in the file, and its number of bytes, by key.
        byte_order: of the elements, as in NumPy: `<` or `>`.
    """

    path: Path
    content: Any
    starts: Mapping[str, tuple[int, int]]
    byte_order: str = "<"

    def read(self, view: StoredView) -> bytes:
        """The elements of a tensor, contiguous and little-endian.

        Raises:
            ValueError: it reaches beyond its storage.
        """
        size = ELEMENT_BYTES[view.dtype]
        if 0 in view.shape:
            return b""
        first, length = self.starts[view.key]
        last = view.offset + sum((n - 1) * stride for n, stride in zip(view.shape, view.strides, strict=True))
        if min(view.offset, *view.shape, *view.strides, 0) < 0 or (last + 1) * size > length:
            raise ValueError("a tensor reaches beyond its storage")
        with self.path.open("rb") as file:
            file.seek(first + view.offset * size)
            stored = np.frombuffer(file.read((last + 1 - view.offset) * size), f"{self.byte_order}u{size}")
        strides = [stride * size for stride in view.strides]
        return np.lib.stride_tricks.as_strided(stored, view.shape, strides).astype(f"<u{size}").tobytes()


def read_file(path: Path) -> PyTorchFile:
    """Open a PyTorch file of either format.

    Raises:
        ValueError: it is truncated or damaged.
        OSError: it cannot be read.
    """
    try:
        return _read_archive(path) if zipfile.is_zipfile(path) else _read_old_file(path)
    except OSError:
        raise
    except Exception as error:
        # A damaged file may raise many exceptions: those of zipfile and struct, and of lookups.
        raise ValueError(f"{type(error).__name__}: {error}") from error


def list_entries(path: Path) -> frozenset[str]:
    """The names of a zip archive's files without their first folder, whose name is arbitrary in PyTorch's.

    Raises:
        ValueError: it is truncated or damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(name.partition("/")[2] or name for name in archive.namelist())
    except zipfile.BadZipFile as error:
        raise ValueError(str(error)) from None


def _read_archive(path: Path) -> PyTorchFile:
    with zipfile.ZipFile(path) as archive, path.open("rb") as file:
        entries = {entry.filename: entry for entry in archive.infolist()}
        pickled = next((name for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")), "?/data.pkl")
        folder = pickled.removesuffix("data.pkl")
        content, storages = inert_pickle.load(io.BytesIO(_read_entry(file, entries[pickled])))
        starts = {}
        for key in storages:
            entry = entries[f"{folder}data/{key}"]
            size = len(_read_entry(file, entry))
            starts[key] = file.tell() - size, size
        is_big = f"{folder}byteorder" in entries and _read_entry(file, entries[f"{folder}byteorder"]) == b"big"
    return PyTorchFile(path, content, starts, ">" if is_big else "<")


def _read_entry(file: IO[bytes], entry: zipfile.ZipInfo) -> bytes:
    """Read a file of an archive, and leave the position at its end. It follows a header of its own: PKWARE's
    APPNOTE.TXT, 4.3.7.

    It is not read by `zipfile`, because PyTorch can leave out the checksums, which are 0 then.

    Raises:
        ValueError: it is compressed, which PyTorch's are not, or damaged.
    """
    file.seek(entry.header_offset + 26)
    name, extra = struct.unpack("<HH", file.read(4))
    file.seek(entry.header_offset + 30 + name + extra)
    content = file.read(entry.file_size)
    if entry.compress_type != zipfile.ZIP_STORED or len(content) != entry.file_size:
        raise ValueError(f"{entry.filename} is compressed or incomplete")
    if entry.CRC and zlib.crc32(content) != entry.CRC:
        raise ValueError(f"{entry.filename} has another checksum")
    return content


def _read_old_file(path: Path) -> PyTorchFile:
    with path.open("rb") as file:
        magic, _, _ = (inert_pickle.load(file)[0] for _ in range(3))
        if magic != MAGIC_NUMBER:
            raise ValueError("it does not start with PyTorch's number")
        content, storages = inert_pickle.load(file)
        keys = inert_pickle.load(file)[0]
        starts = {}
        for key in map(str, keys if isinstance(keys, list) else ()):
            (elements,) = struct.unpack("<q", file.read(8))
            size = elements * ELEMENT_BYTES[storages[key]]
            starts[key] = file.tell(), size
            file.seek(size, 1)
        if file.tell() > path.stat().st_size or not storages.keys() <= starts.keys():
            raise ValueError("it ends before its last storage")
    return PyTorchFile(path, content, starts)
