"""Dataset: labelled images in memory, with a fingerprint by which two runs can be compared."""

from __future__ import annotations

import hashlib
from dataclasses import InitVar, dataclass, field
from pathlib import Path

import numpy as np


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and labels, as they are on disk: neither resized nor normalised.

    Attributes:
        name: as in a task.
        train_images, test_images: (n, h, w, 3) uint8, C-contiguous.
        train_labels, test_labels: (n,) int64.
        source: where the arrays come from, as text for people.
        file: a safetensors file that has just these arrays, if there is one.
        fingerprint: first 16 hex digits of the SHA-256 of the four arrays' shapes, types and bytes.
        image_files: where the files of the training images are kept, undecoded; None if they are not.
        file_numbers: (n,) int64, which of those files the training images are; None if they are all of them.
        known_fingerprint: the same, if it need not be computed again.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    source: str
    file: Path | None = None
    image_files: Path | None = None
    file_numbers: np.ndarray | None = None
    fingerprint: str = field(init=False)
    known_fingerprint: InitVar[str | None] = None

    def __post_init__(self, known_fingerprint: str | None) -> None:
        digest = hashlib.sha256()
        for kind in ("train", "test"):
            images = np.ascontiguousarray(getattr(self, f"{kind}_images"), dtype=np.uint8)
            labels = np.ascontiguousarray(getattr(self, f"{kind}_labels"), dtype=np.int64)
            for name, array in ((f"{kind}_images", images), (f"{kind}_labels", labels)):
                object.__setattr__(self, name, array)
                if known_fingerprint is None:
                    digest.update(f"{name} {array.shape} {array.dtype.str}".encode())
                    digest.update(array.data)
        object.__setattr__(self, "fingerprint", known_fingerprint or digest.hexdigest()[:16])
