"""CIFAR-100: its Python version, with its 100 fine labels, as a folder or as the published archive."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from bench.data.images.source import Part, Source, check_labels, stat_file
from bench.data.restricted_pickle import ForbiddenCode, loads
from bench.errors import UserError

#: The published folder, and its files (Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html).
FOLDER = "cifar-100-python"
FILES = ("train", "test")
META = "meta"
CLASSES = 100
SIDE = 32


def find_folder(path: Path) -> Path | None:
    """The folder at `path`, or below it, that has CIFAR-100's files; None if there is none."""
    folders = (path, path / FOLDER)
    return next((folder for folder in folders if all((folder / file).is_file() for file in FILES)), None)


def read_cifar100(path: Path, folder: Path) -> Source:
    """Read CIFAR-100 from a folder.

    Raises:
        UserError: a file is damaged, or something else.
    """
    files = [stat_file(folder / file, file) for file in FILES]
    meta = folder / META
    return _make_source(
        path, [(folder / file).read_bytes() for file in FILES], meta.read_bytes() if meta.is_file() else None, files
    )


def read_cifar100_archive(path: Path) -> Source:
    """Read CIFAR-100 from its archive, whatever its compression.

    Raises:
        UserError: it has no CIFAR-100, or is damaged.
    """
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(path) as members:
            for member in members:
                name = PurePosixPath(member.name)
                if name.name in (*FILES, META) and member.isfile() and (content := members.extractfile(member)):
                    found[name.name] = content.read()
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise UserError(f"{path} cannot be read ({error}): replace it by a whole file") from None
    if not set(FILES) <= set(found):
        raise UserError(
            f"{path} is an archive without CIFAR-100's Python version: give {FOLDER}.tar.gz, or unpack the archive and "
            "give its folder"
        )
    return _make_source(path, [found[file] for file in FILES], found.get(META), [stat_file(path, path.name)])


def _make_source(path: Path, contents: list[bytes], meta: bytes | None, files: list[tuple[str, int, int]]) -> Source:
    train, test = (_read_part(path, file, content) for file, content in zip(FILES, contents, strict=True))
    names = _read_names(path, meta) if meta else list(map(str, range(CLASSES)))
    return Source(path, "CIFAR-100", names, train, test, files)


def _read_part(path: Path, file: str, content: bytes) -> Part:
    batch = _load(path, file, content)
    try:
        rows, labels = np.asarray(batch[b"data"], np.uint8), batch[b"fine_labels"]
        images = rows.reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    except (KeyError, TypeError, ValueError):
        raise UserError(f"{path}: {file} is not CIFAR-100's: replace it by the published one") from None
    numbers = check_labels(path, f"the fine labels of {file}", labels, CLASSES)
    if len(numbers) != len(images):
        raise UserError(f"{path}: {file} has {len(images):,} images and {len(numbers):,} labels: replace it")
    return Part(numbers, lambda at: images[at], lambda at: f"{file}[{at}]")


def _read_names(path: Path, content: bytes) -> list[str]:
    try:
        names = [name.decode() for name in _load(path, META, content)[b"fine_label_names"]]
    except (KeyError, TypeError, AttributeError, UnicodeDecodeError):
        names = []
    return names if len(names) == CLASSES else list(map(str, range(CLASSES)))


def _load(path: Path, file: str, content: bytes) -> dict[bytes, Any]:
    try:
        found = loads(content)
    except ForbiddenCode as error:
        raise UserError(f"{path}: {file} contains code ({error}), and is not CIFAR-100's: replace it") from None
    except ValueError as error:
        raise UserError(f"{path}: {file} cannot be read ({error}): replace it by the published one") from None
    return found if isinstance(found, dict) else {}
