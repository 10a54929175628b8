"""The data sets that installed packages bring (`backends.task_entries`)."""

from __future__ import annotations

import numpy as np

from backends.task_entries import DATASETS, DatasetEntry, load_function
from bench.data.dataset import Dataset
from bench.errors import UserError

PARTS = ("training images", "training labels", "test images", "test labels")


def load(name: str) -> Dataset:
    """Load the data set called `name` by the function of its entry.

    Raises:
        UserError: the function fails, or its arrays are not what the entry says; the line says what to correct.
    """
    entry = DATASETS[name]
    try:
        arrays = tuple(load_function(entry.load)())
        if problem := find_problem(arrays, entry):
            raise ValueError(f"{entry.load} returned {problem}")
    except ValueError as error:
        raise _make_error(name, str(error)) from None
    except (Exception, SystemExit) as error:  # whatever another package's function raises
        raise _make_error(name, f"{entry.load} raised {type(error).__name__}: {error}") from None
    train_images, train_labels, test_images, test_labels = arrays
    source = entry.source or find_location(name)
    dataset = Dataset(name, train_images, train_labels, test_images, test_labels, source)
    if entry.fingerprint and dataset.fingerprint != entry.fingerprint:
        raise _make_error(name, f"its images have the fingerprint {dataset.fingerprint}, not {entry.fingerprint}")
    return dataset


def find_location(name: str) -> str:
    """Describe where the images come from; loads nothing."""
    entry = DATASETS[name]
    return f"comes with {DATASETS.get_distribution(name)}{f': {entry.source}' if entry.source else ''}"


def find_problem(arrays: tuple[object, ...], entry: DatasetEntry) -> str | None:
    """Find the first difference between arrays and what an entry says; None if there is none."""
    if len(arrays) != len(PARTS):
        return f"{len(arrays)} values, and not {', '.join(PARTS)}"
    for what, array in zip(PARTS, arrays, strict=True):
        if not isinstance(array, np.ndarray):
            return f"{what} as {type(array).__name__}, not as a NumPy array"
        if not len(array.shape) or not len(array):
            return f"no {what}"
    for (images_name, images), (labels_name, labels) in zip(*[iter(zip(PARTS, arrays, strict=True))] * 2, strict=True):
        assert isinstance(images, np.ndarray)
        assert isinstance(labels, np.ndarray)
        if images.dtype != np.uint8:
            return f"{images_name} as {images.dtype}, not as uint8"
        if images.shape[1:] != (entry.side, entry.side, 3):
            return f"{images_name} of shape {images.shape}, not (n, {entry.side}, {entry.side}, 3)"
        if not np.issubdtype(labels.dtype, np.integer):
            return f"{labels_name} as {labels.dtype}, not as integers"
        if labels.shape != (len(images),):
            return f"{labels_name} of shape {labels.shape} for {len(images)} images"
        if labels.min() < 0 or labels.max() >= entry.classes:
            return f"{labels_name} from {labels.min()} to {labels.max()}, not from 0 to {entry.classes - 1}"
    return None


def _make_error(name: str, problem: str) -> UserError:
    return UserError(f"data set {name}: {problem.splitlines()[0]}: correct or update {DATASETS.get_distribution(name)}")
