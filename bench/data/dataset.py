"""Dataset: labelled images in memory, with a fingerprint by which two runs can be compared."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, as they are on disk: neither resized nor normalised.

    Attributes:
        name: as in a task.
        train_images, test_images: (n, h, w, 3) uint8, C-contiguous.
        train_labels, test_labels: (n,) int64.
        source: where the arrays come from, as text for people.
        fingerprint: first 16 hex digits of the SHA-256 of the four arrays' shapes, types and bytes.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    source: str
    fingerprint: str = field(init=False)

    def __post_init__(self) -> None:
        digest = hashlib.sha256()
        for kind in ("train", "test"):
            images = np.ascontiguousarray(getattr(self, f"{kind}_images"), dtype=np.uint8)
            labels = np.ascontiguousarray(getattr(self, f"{kind}_labels"), dtype=np.int64)
            for name, array in ((f"{kind}_images", images), (f"{kind}_labels", labels)):
                object.__setattr__(self, name, array)
                digest.update(f"{name} {array.shape} {array.dtype.str}".encode())
                digest.update(array.data)
        object.__setattr__(self, "fingerprint", digest.hexdigest()[:16])
