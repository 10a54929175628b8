"""Images in an `.npz` file: arrays of images and labels, under the names that Keras, MedMNIST and others use."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.data.images.source import TEST_NAMES, Part, Source, check_labels, stat_file
from bench.errors import UserError

#: Names of images and labels in the file, by part: with a part's name before them or after them.
IMAGES, LABELS = ("images", "x"), ("labels", "y")


def read_npz(path: Path) -> Source:
    """Read the images of an `.npz` file: `images` and `labels`, or those of `train` and `test` (or `val`).

    Raises:
        UserError: it is damaged, or its arrays are something else; the line says what.
    """
    file = stat_file(path, path.name)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = list(arrays)
            train = _find_pair(names, "train") or _find_pair(names, "")
            if train is None:
                raise UserError(
                    f"{path} has {', '.join(names) or 'no arrays'}: give it images and labels, or train_images, "
                    "train_labels, test_images and test_labels"
                )
            test = next(filter(None, (_find_pair(names, part) for part in TEST_NAMES)), None)
            found = {name: arrays[name] for name in (*train, *(test or ()))}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError, KeyError, NotImplementedError) as error:
        if "allow_pickle" in str(error):
            raise UserError(
                f"{path} has arrays of Python objects: save images as uint8, and labels as integers"
            ) from None
        raise UserError(f"{path} cannot be read ({str(error).splitlines()[0]}): replace it by a whole file") from None
    except MemoryError:
        raise UserError(f"{path} does not fit into memory: give the images as class folders or as Parquet") from None
    part = _make_part(path, *train, found, None)
    classes = int(part.labels.max()) + 1 if len(part.labels) else 0
    test_part = _make_part(path, *test, found, classes) if test else None
    return Source(path, "an .npz file", list(map(str, range(classes))), part, test_part, [file])


def _find_pair(names: list[str], part: str) -> tuple[str, str] | None:
    """The names of the images and the labels of a part, whose name may be empty; None if they are not both there."""

    def find(kinds: tuple[str, ...]) -> str | None:
        forms = [form for kind in kinds for form in ((f"{part}_{kind}", f"{kind}_{part}") if part else (kind,))]
        return next((form for form in forms if form in names), None)

    images, labels = find(IMAGES), find(LABELS)
    return (images, labels) if images and labels else None


def _make_part(path: Path, images: str, labels: str, arrays: Mapping[str, np.ndarray], classes: int | None) -> Part:
    numbers = check_labels(path, labels, arrays[labels], classes)
    pixels = check_images(path, images, arrays[images])
    if len(pixels) != len(numbers):
        raise UserError(
            f"{path}: {images} has {len(pixels):,} images, and {labels} {len(numbers):,} labels: give one for each"
        )
    return Part(numbers, lambda at: pixels[at], lambda at: f"{images}[{at}]")


def check_images(path: Path, what: str, images: np.ndarray) -> np.ndarray:
    """Check images of uint8, (n, h, w), (n, h, w, 1), (n, h, w, 3) or (n, h, w, 4); returns them as (n, h, w, 3).

    Grey is repeated, and alpha left out.

    Raises:
        UserError: they are something else; the line says what.
    """
    if images.dtype != np.uint8:
        raise UserError(f"{path}: {what} are {images.dtype}, not uint8: give pixels from 0 to 255")
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[3] not in (1, 3, 4) or not images.shape[1] or not images.shape[2]:
        raise UserError(f"{path}: {what} have the shape {images.shape}: give (n, height, width, 3)")
    return np.broadcast_to(images, (*images.shape[:3], 3)) if images.shape[3] == 1 else images[..., :3]
