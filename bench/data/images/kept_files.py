"""Kept files: the user's image files, undecoded, in one file of the home, see `bench.data.undecoded_files`.

Neither the disk nor the file system is part of what is measured: every framework takes the same bytes from memory.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from bench.data.images.decoding import Undecoded, decode
from bench.data.images.framing import Framing
from bench.data.images.kept_images import CHUNK, PROGRESS_AFTER_S
from bench.data.images.source import Part
from bench.data.undecoded_files import write_ends
from bench.errors import UserError
from bench.machine.environment import count_usable_cores

ENDING = ".files"


def keep(part: Part, framing: Framing, file: Path, progress: bool) -> int | None:
    """Write the files of a part that can be decoded; returns how many, or None if its images come from no files.

    Raises:
        UserError: the file cannot be written.
    """
    if isinstance(part.read(0), np.ndarray):
        return None
    ends: list[int] = []
    try:
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.stem}-") as folder:
            unfinished = Path(folder) / file.name
            with unfinished.open("wb") as contents:
                for content in _list_decodable(part, framing, progress):
                    ends.append(contents.write(content) + (ends[-1] if ends else 0))
                contents.write(write_ends(ends))
            unfinished.replace(file)
    except OSError as error:
        raise UserError(
            f"cannot keep the image files in {file.parent} ({error.strerror or error}): free space there, or set "
            "HEADTOHEAD_HOME to another folder"
        ) from None
    return len(ends)


def _list_decodable(part: Part, framing: Framing, progress: bool) -> Iterator[bytes]:
    """The contents of the files that can be decoded: `kept_images` leaves out the others, too."""
    Image.init()
    total = len(part.labels)
    with (
        ThreadPoolExecutor(count_usable_cores()) as pool,
        tqdm(
            desc="Reading image files",
            total=total,
            unit=" images",
            delay=PROGRESS_AFTER_S,
            disable=None if progress else True,
            leave=False,
        ) as bar,
    ):
        for start in range(0, total, CHUNK):
            contents = [_read(part.read(at)) for at in range(start, min(start + CHUNK, total))]
            for content, found in zip(contents, pool.map(partial(decode, framing=framing), contents), strict=True):
                if found.pixels is not None:
                    yield content
            bar.update(len(contents))


def _read(undecoded: Undecoded) -> bytes:
    if isinstance(undecoded, Path):
        try:
            return undecoded.read_bytes()
        except OSError:
            return b""  # cannot be decoded either
    return bytes(undecoded)
