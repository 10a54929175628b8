"""Digits: 1,797 handwritten digits of 8 x 8 pixels. They come with scikit-learn and need no network."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.data.dataset import Dataset

#: Pixels count how many of 4 x 4 fine pixels were set (Alpaydin & Kaynak, UCI "Optical Recognition", 1998).
BRIGHTEST = 16
#: One image in five is for testing: 360 of 1,797.
TEST_SHARE = 5


def load(data_dir: Path | None = None, progress: bool = True) -> Dataset:
    """1,437 training and 360 test images, (n, 8, 8, 3) uint8, grey in three channels, always split alike."""
    # Slow to import, and most commands load no digits.
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    grey = np.rint(pixels.reshape(-1, 8, 8) * (255 / BRIGHTEST)).astype(np.uint8)
    images = np.repeat(grey[..., None], 3, axis=-1)
    train, test = _split(labels)
    return Dataset("digits", images[train], labels[train], images[test], labels[test], source="scikit-learn")


def where(data_dir: Path | None = None) -> str:
    """Where they come from; they are always there."""
    return "comes with scikit-learn"


def _split(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ascending indices of training and test images: shuffled, sorted by class, every fifth for testing.

    Sorting by class after shuffling stratifies: of each class, one image in five is for testing, within one.
    """
    shuffled = np.random.default_rng(0).permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    test = np.zeros(len(labels), dtype=bool)
    test[by_class[::TEST_SHARE]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)
