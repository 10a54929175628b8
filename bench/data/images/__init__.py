"""The user's own images: class folders, an `.npz` file, Parquet files, or CIFAR-100.

They are decoded once (Pillow), to squares of uint8, and kept in the home; see `bench.data.images.kept_images`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path

from backends.task_entries import name_image_set
from bench.data.cifar10 import FOLDER, TRAIN
from bench.data.dataset import Dataset
from bench.data.images import kept_files, kept_images
from bench.data.images.cifar100 import find_folder, read_cifar100, read_cifar100_archive
from bench.data.images.class_folders import has_images, read_folder
from bench.data.images.framing import Framing
from bench.data.images.npz_file import read_npz
from bench.data.images.parquet_files import find_files, read_parquet
from bench.data.images.source import Source
from bench.data.undecoded_files import count_files
from bench.errors import UserError
from bench.machine.file_kind import describe_kind, find_path_problem, read_head

__all__ = ["Framing", "describe", "keep_files", "load", "open_source"]

#: What can be given, for messages.
WANTED = "give a folder of class folders, an .npz file, Parquet files, or CIFAR-100's Python version"


def load(path: Path, framing: Framing, seed: int, progress: bool = True) -> Dataset:
    """Load images: those that were kept, or else decode and keep them. Lines on stderr say what is remarkable of them.

    Args:
        path: the files or the folder, see `open_source`.
        framing: how images become squares.
        seed: of the split, where the files have no test images.
        progress: whether decoding shows a bar on stderr.

    Raises:
        UserError: they cannot be used; the line says why.
    """
    source = open_source(path)
    with _one_line():
        kept = _find_or_keep(source, framing, seed, progress)
    remarks = [make_printable(remark) for remark in (*kept.remarks, *source.remarks)]
    for remark in remarks:
        _say_once(f"bench: images {path}: {remark}")
    split = "" if source.test else f", split drawn from seed {seed}"
    return Dataset(
        name_image_set(kept.fingerprint, framing.crop, len(kept.classes)),
        **kept.arrays,  # type: ignore[arg-type]  # the names of the four arrays
        source="; ".join((f"{source.kind} in {str(path)!r}{split}", *remarks)),
        file=kept.file,
        known_fingerprint=kept.fingerprint,
    )


def keep_files(dataset: Dataset, path: Path, framing: Framing, seed: int, progress: bool = True) -> Dataset:
    """The same images, with their files, which are kept undecoded: those of a class folder, or of Parquet files. Images
    that have no files, as arrays, stay as they are.

    Args:
        dataset: what `load` returned for the same arguments, or a subset.

    Raises:
        UserError: the files cannot be used, or kept, or have changed since `load`.
    """
    source = open_source(path)
    name = kept_images.make_key(source, framing, seed)
    kept = kept_images.find(kept_images.get_folder() / f"{name}{kept_images.ENDING}")
    file = kept_images.get_folder() / f"{name}{kept_files.ENDING}"
    expected = len(kept.arrays["train_labels"]) if kept else 0
    count = count_files(file)
    if count != expected:  # it is not there, or was cut off
        with _one_line():
            count = kept_files.keep(source.split(seed)[0], framing, file, progress)
    if count is None:
        return dataset
    if count != expected:
        raise UserError(f"--images {path}: files changed while they were read: start again")
    return replace(dataset, image_files=file, known_fingerprint=dataset.fingerprint)


def _find_or_keep(source: Source, framing: Framing, seed: int, progress: bool) -> kept_images.KeptImages:
    file = kept_images.get_folder() / f"{kept_images.make_key(source, framing, seed)}{kept_images.ENDING}"
    return kept_images.find(file) or kept_images.keep(source, framing, seed, file, progress)


@cache
def _say_once(line: str) -> None:
    """Print a line, which several tasks may have on their images, on stderr."""
    print(line, file=sys.stderr)


def make_printable(text: str) -> str:
    """A text without the characters that names of files can have, and no line of text."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)


@contextmanager
def _one_line() -> Iterator[None]:
    """Make errors that name files one line of text."""
    try:
        yield
    except UserError as error:
        raise UserError(make_printable(str(error))) from None


def open_source(path: Path) -> Source:
    """Find the labelled images at a path; no image is decoded.

    Raises:
        UserError: there are none, or they are not what is needed of them.
    """
    if problem := find_path_problem(path):
        raise UserError(f"--images {path}: it {problem}: {WANTED}")
    try:
        with _one_line():
            return _open_folder(path) if path.is_dir() else _open_file(path)
    except OSError as error:
        raise UserError(f"{error.filename or path} cannot be read ({error.strerror}): change its permissions") from None


def describe(path: Path) -> str:
    """Describe the images at a path in a few words; decodes nothing.

    Raises:
        UserError: as `open_source`.
    """
    source = open_source(path)
    tested = f"{len(source.test.labels):,} test" if source.test else "a drawn split"
    return f"{path} ({source.kind}: {len(source.classes)} classes, {len(source.train.labels):,} images, {tested})"


def _open_folder(path: Path) -> Source:
    if folder := find_folder(path):
        return read_cifar100(path, folder)
    if (files := find_files(path)) and not has_images(path):
        return read_parquet(path, files)
    if (path / FOLDER).is_dir() or (path / TRAIN[0]).exists():
        raise UserError(f"{path} has CIFAR-10: give it with --data-dir")
    if not any(path.iterdir()):
        raise UserError(f"{path} is empty: {WANTED}")
    return read_folder(path)


def _open_file(path: Path) -> Source:
    head = read_head(path)
    kind = describe_kind(head)
    if kind == "a zip archive" and path.suffix.lower() != ".zip":
        return read_npz(path)
    if kind == "a Parquet file":
        return read_parquet(path, find_files(path))
    if kind in ("a gzip file", "a bzip2 file", "an xz file", "a tar archive"):
        return read_cifar100_archive(path)
    if path.name in ("train", "test") and kind == "a pickle":
        return _open_folder(path.parent)
    raise UserError(f"{path} is {kind or 'a file of an unknown kind'}: {WANTED}")
