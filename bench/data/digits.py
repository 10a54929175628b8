"""Digits: 1,797 handwritten digits of 8 x 8 pixels, which come with scikit-learn and need no download."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from bench.data.dataset import Dataset
from bench.errors import Unavailable

#: The images in scikit-learn's folder: a line for each, of 64 pixels and the label.
FILE = "datasets/data/digits.csv.gz"

#: The highest pixel value: a pixel counts those that are set in a block of 4 x 4 (Alpaydin & Kaynak, UCI "Optical
#: Recognition", 1998).
WHITE = 16
#: One image in five is a test image: 360 of 1,797.
TEST_SHARE = 5
#: Whether `load` reads `data_dir`.
READS_FOLDER = False


def load(data_dir: Path | None = None, progress: bool = True) -> Dataset:
    """Load 1,437 training and 360 test images, (n, 8, 8, 3) uint8, grey in three channels; the split is fixed.

    Raises:
        Unavailable: the installed scikit-learn does not have them.
    """
    lines = np.loadtxt(_find_file(), delimiter=",")
    pixels, labels = lines[:, :-1], lines[:, -1].astype(np.int64)
    grey = np.rint(pixels.reshape(-1, 8, 8) * (255 / WHITE)).astype(np.uint8)
    images = np.repeat(grey[..., None], 3, axis=-1)
    train, test = _split(labels)
    return Dataset("digits", images[train], labels[train], images[test], labels[test], source="scikit-learn")


def find_location(data_dir: Path | None = None) -> str:
    """Describe where the images come from; they are always available."""
    return "comes with scikit-learn"


def _find_file() -> Path:
    """Find the file without importing scikit-learn, which takes over a second."""
    package = importlib.util.find_spec("sklearn")
    for folder in package.submodule_search_locations or () if package else ():
        if (file := Path(folder) / FILE).is_file():
            return file
    raise Unavailable(f"scikit-learn has no {FILE}: install scikit-learn again, or name another data set")


def _split(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ascending indices of training and test images: shuffled, then sorted by class, then every fifth is a test image.

    The order by class makes the split stratified: of each class one image in five is a test image, up to rounding.
    """
    shuffled = np.random.default_rng(0).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    test = np.zeros(len(labels), dtype=bool)
    test[by_class[::TEST_SHARE]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)
