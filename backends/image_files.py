"""Image files that an input pipeline decodes: their bytes in memory, and how a decoded image becomes a square."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, eq=False)
class ImageFiles(Sequence[bytes]):
    """The contents of n image files, one after the other in memory, or in a file that is mapped into it.

    Attributes:
        contents: of all files, (bytes,) uint8.
        starts, ends: where each begins and ends, (n,) int64.
        resize, crop: see `backends.task.Task`.
    """

    contents: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    resize: int
    crop: int

    def __len__(self) -> int:
        return len(self.ends)

    def __getitem__(self, index: int) -> bytes:  # type: ignore[override]  # there are no slices
        """The contents of a file."""
        if not 0 <= index < len(self):
            raise IndexError(f"file {index} of {len(self)}")
        return self.contents[self.starts[index] : self.ends[index]].tobytes()

    def take(self, indices: np.ndarray) -> ImageFiles:
        """Some of these files."""
        return ImageFiles(self.contents, self.starts[indices], self.ends[indices], self.resize, self.crop)


def choose_size(width: int, height: int, resize: int) -> tuple[int, int]:
    """Width and height of an image whose shorter side is resized; the longer one is rounded down, as in torchvision's
    `functional.resize` with one size.
    """
    longer = resize * max(width, height) // min(width, height)
    return (resize, longer) if width <= height else (longer, resize)


def frame(image: Image.Image, resize: int, crop: int) -> np.ndarray:
    """Resize an image in RGB (Pillow's bilinear, antialiased) and crop its centre; returns (crop, crop, 3) uint8.

    Source: torchvision's `functional.resize` and `functional.center_crop`.
    """
    from PIL import Image

    size = choose_size(*image.size, resize)
    if size != image.size:
        image = image.resize(size, Image.Resampling.BILINEAR)
    left, top = (round((side - crop) / 2) for side in image.size)
    return np.asarray(image.crop((left, top, left + crop, top + crop)))
