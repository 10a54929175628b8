"""The file of image files: their contents, undecoded, which workers map into memory.

Behind the contents stand the ends of the n files, n numbers of 8 bytes, and n itself, all little-endian.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from backends.image_files import ImageFiles

#: The type of the numbers at the end.
NUMBER = np.dtype("<i8")


def write_ends(ends: Sequence[int]) -> bytes:
    """What stands behind the contents of files that end there."""
    return np.array([*ends, len(ends)], NUMBER).tobytes()


def count_files(file: Path) -> int | None:
    """How many image files are in a file; None if it is not there."""
    try:
        with file.open("rb") as content:
            content.seek(-NUMBER.itemsize, 2)
            return int(np.frombuffer(content.read(), NUMBER)[0])
    except OSError:
        return None


def map_files(file: Path, resize: int, crop: int, numbers: np.ndarray | None = None) -> ImageFiles:
    """Map image files, or those of some numbers; see `ImageFiles`."""
    whole = np.memmap(file, np.uint8, "r").view(np.ndarray)
    count = int(np.frombuffer(whole[-NUMBER.itemsize :].tobytes(), NUMBER)[0])
    size = len(whole) - NUMBER.itemsize * (count + 1)
    ends = np.frombuffer(whole[size : -NUMBER.itemsize].tobytes(), NUMBER).astype(np.int64)
    starts = np.concatenate([np.zeros(1, np.int64), ends[:-1]])
    files = ImageFiles(whole[:size], starts, ends, resize, crop)
    return files if numbers is None else files.take(numbers)
