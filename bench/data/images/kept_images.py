"""Kept images: decoded images in the home, one safetensors file for each set of files and each framing.

It has the arrays of a `Dataset` under the names that a worker's file has, and is used as that file as it is.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import warnings
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import PIL
from PIL import Image
from tqdm import tqdm

from bench.cache.file_lock import lock_file
from bench.cache.home import get_home
from bench.data.dataset import Dataset
from bench.data.image_file import TYPES, map_image_file
from bench.data.images.decoding import decode
from bench.data.images.framing import Framing
from bench.data.images.source import Part, Source, find_empty_class
from bench.errors import UserError
from bench.machine.environment import count_usable_cores

#: Part of every key: a change of how images are decoded or kept makes new files.
VERSION = 1
FOLDER, ENDING, UNFINISHED = "images", ".safetensors", ".part"
#: Images that are decoded between two writes.
CHUNK = 256
#: Seconds after which reading shows its progress.
PROGRESS_AFTER_S = 1
#: How many files are named that cannot be read.
MOST_NAMES = 3
#: Letters of a name and of a reason, for which the header has room.
MOST_LETTERS = 120
#: Bytes of a header beside the names of classes: a letter of a remark may take 14.
HEADER_BYTES = 16_384


class KeptImages(NamedTuple):
    """A file of decoded images, mapped into memory: only what is used is read.

    Attributes:
        arrays: `train_images`, `train_labels`, `test_images` and `test_labels`.
        fingerprint: of the `Dataset` that they are.
        classes: names, by label.
        remarks: what was said when they were decoded.
    """

    file: Path
    arrays: Mapping[str, np.ndarray]
    fingerprint: str
    classes: tuple[str, ...]
    remarks: tuple[str, ...]


def get_folder() -> Path:
    """The folder of decoded images; it need not exist yet."""
    return get_home() / FOLDER


def make_key(source: Source, framing: Framing, seed: int) -> str:
    """The name of the file of a source: a hash of its files' names, sizes and times, and of what pixels depend on."""
    content = {
        "version": VERSION,
        "pillow": PIL.__version__,
        "framing": [framing.resize, framing.crop],
        "seed": None if source.test else seed,
        "kind": source.kind,
        "classes": list(source.classes),
        "files": [list(file) for file in source.files],
    }
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:24]


def find(file: Path) -> KeptImages | None:
    """Map a file of decoded images; None if it is not there, or not complete."""
    try:
        arrays, about = map_image_file(file, "r")
        classes, remarks = (tuple(json.loads(about[name])) for name in ("classes", "remarks"))
        return KeptImages(file, arrays, about["fingerprint"], classes, remarks)
    except (OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError):
        return None


def keep(source: Source, framing: Framing, seed: int, file: Path, progress: bool) -> KeptImages:
    """Decode all images of a source into a file, which appears complete or not at all.

    Raises:
        UserError: a class has no training image that can be read, no test image can be read, or the file cannot be
            written.
    """
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        unfinished = file.with_suffix(UNFINISHED)
        _empty_abandoned_files(file.parent)
        unfinished.touch()
        with unfinished.open("r+b") as content:
            lock_file(content.fileno(), wait=True)  # another process may decode the same images
            if kept := find(file):
                return kept
            try:
                content.truncate(0)
                _Writer(source, framing, content, progress).write(seed)
            except BaseException:
                content.truncate(0)
                raise
            unfinished.replace(file)
    except OSError as error:
        raise UserError(
            f"cannot keep the decoded images in {file.parent} ({error.strerror or error}): free space there, or set "
            "HEADTOHEAD_HOME to another folder"
        ) from None
    kept = find(file)
    if kept is None:
        raise UserError(f"{file} has changed while it was written: start again")
    return kept


def _empty_abandoned_files(folder: Path) -> None:
    """Free the space of files that no process writes any more. They stay, since another process may wait for one."""
    for unfinished in folder.glob(f"*{UNFINISHED}"):
        with contextlib.suppress(OSError), unfinished.open("r+b") as content:
            if lock_file(content.fileno(), wait=False):
                content.truncate(0)


class _Writer:
    """Writes the images of a source, as they are decoded, behind a header that is written last."""

    def __init__(self, source: Source, framing: Framing, file: IO[bytes], progress: bool) -> None:
        self.source, self.framing, self.file, self.progress = source, framing, file, progress
        self.classes = json.dumps(list(source.classes))
        # Its length is that of a header with two levels of escapes, up to a multiple of eight.
        self.header_bytes = (len(json.dumps(self.classes)) + HEADER_BYTES) // 8 * 8
        self.unread: list[str] = []
        self.remarks: Counter[str] = Counter()
        self.total = 0

    def write(self, seed: int) -> None:
        """Write the file."""
        Image.init()  # `Image.open` looks for a format by name before it knows all formats
        parts = dict(zip(("train", "test"), self.source.split(seed), strict=True))
        self.total = sum(len(part.labels) for part in parts.values())
        self.file.seek(8 + self.header_bytes)
        labels: dict[str, np.ndarray] = {}
        with tqdm(
            desc=f"Reading images of {self.source.path.name or self.source.path}",
            total=self.total,
            unit=" images",
            delay=PROGRESS_AFTER_S,
            disable=None if self.progress else True,
            leave=False,
        ) as bar:
            for name, part in parts.items():
                labels[name] = part.labels[self._write_images(part, bar)]
        self._check(labels)
        for numbers in labels.values():
            self.file.write(numbers.astype("<i8").tobytes())
        self.file.flush()
        entries = self._list_entries(labels)
        self._write_header({}, entries)
        arrays: dict[str, Any] = map_image_file(Path(self.file.name), "r")[0]
        fingerprint = Dataset(name="", source="", **arrays).fingerprint
        remarks = json.dumps(self._list_remarks())
        self._write_header({"fingerprint": fingerprint, "classes": self.classes, "remarks": remarks}, entries)
        os.fsync(self.file.fileno())

    def _write_header(self, about: Mapping[str, str], entries: Mapping[str, Any]) -> None:
        header = json.dumps({"__metadata__": about, **entries}).encode()
        self.file.seek(0)
        self.file.write(self.header_bytes.to_bytes(8, "little") + header.ljust(self.header_bytes))
        self.file.flush()

    def _write_images(self, part: Part, bar: tqdm[Any]) -> np.ndarray:
        """Write the images of a part; returns the indices of those that could be read."""
        read: list[int] = []
        # Pillow decodes without Python's lock. Its warnings are about what `decode` reports itself.
        with ThreadPoolExecutor(count_usable_cores()) as pool, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for start in range(0, len(part.labels), CHUNK):
                indices = range(start, min(start + CHUNK, len(part.labels)))
                contents = [part.read(index) for index in indices]
                for index, found in zip(
                    indices, pool.map(partial(decode, framing=self.framing), contents), strict=True
                ):
                    self.remarks.update(found.remarks)
                    if found.pixels is None:
                        name, problem = part.name(index)[-MOST_LETTERS:], found.problem[:MOST_LETTERS]
                        self.unread.append(f"{name} ({problem})")
                    else:
                        read.append(index)
                        self.file.write(found.pixels.tobytes())
                bar.update(len(indices))
        return np.array(read, np.int64)

    def _check(self, labels: Mapping[str, np.ndarray]) -> None:
        empty = find_empty_class(self.source.classes, labels["train"])
        if empty is not None or not len(labels["test"]):
            what = "test image" if empty is None else f"training image of class {empty}"
            why = f": {self._describe_unread()}" if self.unread else ""
            raise UserError(f"{self.source.path} has no {what} that can be read{why}: replace or add images")

    def _list_entries(self, labels: Mapping[str, np.ndarray]) -> dict[str, Any]:
        entries: dict[str, Any] = {}
        at = 0
        side = self.framing.crop
        arrays = {f"{name}_images": ("U8", [len(one), side, side, 3]) for name, one in labels.items()}
        arrays |= {f"{name}_labels": ("I64", [len(one)]) for name, one in labels.items()}
        for name, (kind, shape) in arrays.items():
            end = at + int(np.prod(shape)) * TYPES[kind].itemsize
            entries[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, end]}
            at = end
        return entries

    def _list_remarks(self) -> list[str]:
        remarks = [self._describe_unread()] if self.unread else []
        for remark, count in sorted(self.remarks.items()):
            remarks.append(f"{remark}: {count:,} image{'s' if count > 1 else ''}")
        return remarks

    def _describe_unread(self) -> str:
        more = ", …" if len(self.unread) > MOST_NAMES else ""
        count = f"{len(self.unread):,} of {self.total:,} images cannot be read, and are left out"
        return f"{count}: {', '.join(self.unread[:MOST_NAMES])}{more}"
