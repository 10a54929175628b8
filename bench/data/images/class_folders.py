"""Class folders: a folder for each class, with its images, as torchvision's `ImageFolder` and Keras take them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.data.images.source import (
    TEST_NAMES,
    TRAIN_NAME,
    Part,
    Source,
    check_classes,
    choose_test_name,
    stat_file,
)
from bench.errors import UserError

#: The ends of the names of images, in lower case.
ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
#: How many names of other files are listed.
MOST_NAMES = 3


def read_folder(path: Path) -> Source:
    """Find the images of a folder with class folders, or with `train` and one of `TEST_NAMES`, which have them.

    Files are in the order of `ImageFolder`: classes by name, and within a class files by path, at any depth.

    Raises:
        UserError: they have no labels, or a class has no image.
    """
    folders = _list_folders(path)
    names = [folder.name for folder in folders]
    tested = choose_test_name(names)
    if TRAIN_NAME not in names and names and set(names) <= set(TEST_NAMES):
        raise UserError(f"{path} has {' and '.join(names)}, and no {TRAIN_NAME}: give the folder with both")
    if TRAIN_NAME in names and tested is None:
        raise UserError(
            f"{path} has {TRAIN_NAME}, and no val or test: add one, or give {path / TRAIN_NAME}, of which a split is "
            "drawn"
        )
    finder = _Finder(path)
    if TRAIN_NAME in names and tested is not None:
        classes = finder.list_classes(path / TRAIN_NAME)
        in_test = finder.list_classes(path / tested)
        check_classes(path / TRAIN_NAME, sorted({*classes, *in_test}))
        if others := sorted(set(in_test) - set(classes)):
            raise UserError(
                f"{path / tested} has the class {others[0]}, and {path / TRAIN_NAME} has not: add images of it there"
            )
        train = finder.find_part(path / TRAIN_NAME, classes, classes)
        test = finder.find_part(path / tested, classes, in_test)
        kind = f"class folders below {TRAIN_NAME} and {tested}"
    else:
        classes = finder.list_classes(path)
        check_classes(path, classes)
        train, test, kind = finder.find_part(path, classes, classes), None, "class folders"
    return Source(path, kind, classes, train, test, finder.files, finder.describe_others())


def has_images(path: Path) -> bool:
    """Whether there is an image in a folder, or at any depth below it."""
    return any(file.suffix.lower() in ENDINGS for file in _walk(path))


class _Finder:
    """Finds images below a folder, and keeps the names of all other files."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: list[tuple[str, int, int]] = []
        self.others: list[str] = []

    def list_classes(self, folder: Path) -> list[str]:
        """The names of the class folders, sorted.

        Raises:
            UserError: there are images and no class folders, or neither.
        """
        loose = sorted(file for file in folder.iterdir() if not file.is_dir())
        folders = [one.name for one in _list_folders(folder) if not one.name.startswith(".")]
        if not folders:
            what = f"images and no class folders ({loose[0].name}, …)" if has_images(folder) else "no class folders"
            raise UserError(f"{folder} has {what}: put the images of each class into a folder with the class's name")
        self.others += map(self._shorten, loose)
        return folders

    def find_part(self, folder: Path, classes: list[str], present: list[str]) -> Part:
        """Find the images of all classes of a folder.

        Args:
            classes: names, by label.
            present: the classes that have a folder here, of which each needs an image.

        Raises:
            UserError: a class has no image.
        """
        names: list[str] = []
        labels: list[int] = []
        for label, one in enumerate(classes):
            if one not in present:
                continue
            before = len(names)
            for file in _walk(folder / one):
                name = self._shorten(file)
                if file.suffix.lower() not in ENDINGS or not file.is_file():  # a pipe, a link to nothing
                    self.others.append(name)
                    continue
                self.files.append(stat_file(file, name))
                names.append(name)
                labels.append(label)
            if len(names) == before:
                kinds = "JPEG, PNG or WebP"
                raise UserError(f"{folder / one} has no image ({kinds}): add some, or remove the folder of the class")
        return Part(np.array(labels, np.int64), lambda at: self.root / names[at], lambda at: names[at])

    def describe_others(self) -> list[str]:
        """A line about the files that are no images, or in no class; none if there are none."""
        if not self.others:
            return []
        more = ", …" if len(self.others) > MOST_NAMES else ""
        count = f"{len(self.others):,} other file{'s are' if len(self.others) > 1 else ' is'} not read"
        return [f"{count}: {', '.join(self.others[:MOST_NAMES])}{more}"]

    def _shorten(self, file: Path) -> str:
        return str(file.relative_to(self.root))


def _list_folders(path: Path) -> list[Path]:
    try:
        return sorted(folder for folder in path.iterdir() if folder.is_dir())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): change its permissions, or give another") from None


def _walk(folder: Path) -> Iterator[Path]:
    """The files below a folder, also behind links, in the order of `ImageFolder`; a link that leads back is left out.

    Raises:
        UserError: a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename} cannot be read ({error.strerror}): change its permissions, or give another")

    seen: set[str] = set()
    found: list[tuple[str, list[str]]] = []
    for top, folders, files in os.walk(folder, followlinks=True, onerror=refuse):
        real = os.path.realpath(top)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        found.append((top, files))
    for top, files in sorted(found):
        yield from (Path(top, name) for name in sorted(files))
