"""The file of images that a worker reads: safetensors, into memory where it fits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from safetensors.numpy import load_file

#: Each worker of a launch has the images, and several are in memory at a time: a larger share of it is mapped.
MOST_MEMORY = 1 / 8
#: Bytes that are always read: the first look at the machine's memory takes longer.
ALWAYS_READ = 2**30
#: The array of `Dataset.file_numbers`.
FILE_NUMBERS = "train_file_numbers"
#: safetensors' names of the types.
TYPES: Mapping[str, np.dtype[Any]] = {"U8": np.dtype("uint8"), "I64": np.dtype("<i8")}


def read_image_file(file: Path) -> dict[str, np.ndarray]:
    """Read `train_images`, `train_labels`, `test_images` and `test_labels` from a safetensors file, and `FILE_NUMBERS`,
    if it has them.

    Images that take more than `MOST_MEMORY` are mapped: what a step uses is read from the disk, and the system keeps in
    memory what it can. All frameworks of a comparison read the same file in the same way.
    """
    size = file.stat().st_size
    if size > ALWAYS_READ:
        from bench.machine.load import read_memory

        memory = read_memory()[1]
        if memory is not None and size > MOST_MEMORY * memory:
            return map_image_file(file)[0]
    return load_file(file)


def map_image_file(file: Path, mode: Literal["r", "c"] = "c") -> tuple[dict[str, np.ndarray], Mapping[str, str]]:
    """Map a safetensors file of images and labels, and read its labels.

    Args:
        mode: `r` makes arrays that cannot be changed; `c` those whose changes do not reach the file.

    Returns:
        The arrays by name, and the file's metadata.

    Raises:
        OSError, ValueError, KeyError, TypeError, OverflowError: it is no such file, or not complete.
    """
    with file.open("rb") as content:
        size = int.from_bytes(content.read(8), "little")
        header = json.loads(content.read(size))
    metadata = header.pop("__metadata__", {})
    arrays = {}
    for name, entry in header.items():
        start = 8 + size + entry["data_offsets"][0]
        mapped = np.memmap(file, TYPES[entry["dtype"]], mode, start, tuple(entry["shape"])).view(np.ndarray)
        # Behind the images, labels may begin at any byte.
        arrays[name] = mapped if mapped.dtype == np.uint8 else mapped.astype(np.int64)
    return arrays, metadata
