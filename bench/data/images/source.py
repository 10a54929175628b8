"""Source: labelled images that are not decoded yet, in parts, and the checks that all kinds of files have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data.images.decoding import Undecoded
from bench.errors import UserError

#: Second word of the seed of a drawn split; see `bench.data.order`.
SPLIT_STREAM = 6
#: One image in five of each class is a test image, where the split is drawn.
TEST_SHARE = 5
#: Names of a part with test images, the first that is there counts: the `test` of ImageNet and of others has no labels.
TEST_NAMES = ("val", "valid", "validation", "test")
TRAIN_NAME = "train"


@dataclass(frozen=True)
class Part:
    """Some images, and how each is obtained.

    Attributes:
        labels: (n,) int64.
        read: the undecoded image of an index; indices ascend.
        name: that of an index, for people.
    """

    labels: np.ndarray
    read: Callable[[int], Undecoded]
    name: Callable[[int], str]

    def take(self, indices: np.ndarray) -> Part:
        """Some of these images, in ascending order."""
        chosen = indices.tolist()
        return Part(self.labels[indices], lambda at: self.read(chosen[at]), lambda at: self.name(chosen[at]))


@dataclass(frozen=True)
class Source:
    """Labelled images of one kind of file.

    Attributes:
        path: as the user gave it.
        kind: of the files, for people.
        classes: the names of the classes; a label is an index of them.
        train, test: the parts; without test images, a split of the training images is drawn.
        files: relative path, size in bytes and time of change in ns of each file.
        remarks: what is said of the files, for people.
    """

    path: Path
    kind: str
    classes: Sequence[str]
    train: Part
    test: Part | None
    files: Sequence[tuple[str, int, int]]
    remarks: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_classes(self.path, self.classes)
        for what, part in (("training", self.train), ("test", self.test)):
            if part is not None and not len(part.labels):
                raise UserError(f"{self.path} has no {what} images: give images with a label of each")

    def split(self, seed: int) -> tuple[Part, Part]:
        """The training and the test images; drawn from the seed where the files have no test images.

        Raises:
            UserError: every class has one image, of which none can be a test image.
        """
        if self.test is not None:
            return self.train, self.test
        test = draw_test_images(self.train.labels, seed)
        if not test.any():
            raise UserError(f"{self.path} has one image of each class, too few to draw test images from: give more")
        return self.train.take(np.flatnonzero(~test)), self.train.take(np.flatnonzero(test))


def draw_test_images(labels: np.ndarray, seed: int) -> np.ndarray:
    """Draw the test images (n,) bool: of each class one image in five, at least one unless it is the only one."""
    test = np.zeros(len(labels), dtype=bool)
    stream = np.random.default_rng([seed, SPLIT_STREAM])
    by_class = np.argsort(labels, kind="stable")
    for own in np.split(by_class, np.flatnonzero(np.diff(labels[by_class])) + 1):
        share = max(len(own) // TEST_SHARE, 1) if len(own) > 1 else 0
        test[stream.choice(own, share, replace=False)] = True
    return test


def check_classes(path: Path, classes: Sequence[str]) -> None:
    """Check that there are at least two classes, and that no two names differ in case alone.

    Raises:
        UserError: one of that is not so.
    """
    if len(classes) < 2:
        raise UserError(
            f"{path} has {f'one class, {classes[0]}' if classes else 'no class'}: give images of two classes or more"
        )
    names: dict[str, str] = {}
    for name in classes:
        if (other := names.setdefault(name.casefold(), name)) != name:
            raise UserError(f"{path} has the classes {other} and {name}, which differ in case only: rename one of them")


def find_empty_class(classes: Sequence[str], labels: np.ndarray) -> str | None:
    """The first class without an image; None if each has one."""
    counts = np.bincount(labels, minlength=len(classes))
    return None if counts.all() else classes[int(np.argmin(counts))]


def check_labels(path: Path, what: str, labels: object, classes: int | None = None) -> np.ndarray:
    """Check labels that are not names of folders: integers, numbered from 0; returns them as (n,) int64.

    Args:
        what: the name of the labels in the file.
        classes: number of classes; None if these labels say what there is.

    Raises:
        UserError: they are something else; the line says what.
    """
    array = np.asarray(labels)
    if array.ndim == 2 and array.shape[1] == 1:  # as in Keras' and MedMNIST's files
        array = array[:, 0]
    if not np.issubdtype(array.dtype, np.integer):
        raise UserError(f"{path}: {what} are {array.dtype}, not integers: give the number of a class for each image")
    if array.ndim != 1:
        raise UserError(f"{path}: {what} have the shape {array.shape}: give one number for each image, of shape (n,)")
    found = np.unique(array)
    if len(found) and found[0] < 0:
        raise UserError(
            f"{path}: the least of {what} is {found[0]}: number the classes from 0; leave out unlabelled images"
        )
    if classes is None and len(found) and len(found) <= found[-1]:
        missing = next(number for number, label in enumerate(found) if number != label)
        raise UserError(f"{path}: {what} go to {found[-1]}, but {missing} has no image: number the classes from 0 on")
    if classes is not None and len(found) and found[-1] >= classes:
        raise UserError(
            f"{path}: {what} go to {found[-1]}, and the training images' to {classes - 1} only: add training images of "
            "the others, or leave them out of the test"
        )
    return array.astype(np.int64)


def choose_test_name(names: Iterable[str] | Mapping[str, object]) -> str | None:
    """The name of the part that is tested on; None if there is none."""
    return next((name for name in TEST_NAMES if name in names), None)


def stat_file(file: Path, name: str) -> tuple[str, int, int]:
    """Name, size and time of a file, by which it is known again.

    Raises:
        UserError: it cannot be read.
    """
    try:
        found = file.stat()
    except OSError as error:
        raise UserError(f"{file} cannot be read ({error.strerror}): change its permissions, or give others") from None
    return name, found.st_size, found.st_mtime_ns
