"""Framing: how an image of any size becomes a square, as with torchvision's `Resize` and `CenterCrop`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from backends.image_files import choose_size, frame

#: The most pixels of an image between the two steps: a strip of 10 x 10,000 px at 224 px would have 50 million.
MOST_PIXELS = 89_478_485


class TooLong(Exception):
    """An image whose sides differ so much that it cannot be resized; the message says to which size."""


@dataclass(frozen=True)
class Framing:
    """The shorter side is resized to `resize` px (Pillow's bilinear, antialiased), and `crop` x `crop` px of the centre
    are kept.
    """

    resize: int
    crop: int

    def apply(self, image: Image.Image) -> np.ndarray:
        """Resize and crop an image in RGB as `backends.image_files.frame`; returns (crop, crop, 3) uint8.

        Raises:
            TooLong: the resized image would have more than `MOST_PIXELS`.
        """
        width, height = choose_size(*image.size, self.resize)
        if (width, height) != image.size and width * height > MOST_PIXELS:
            longer = max(width, height)
            raise TooLong(f"its shorter side at {self.resize} px, the longer one would have {longer:,}")
        return frame(image, self.resize, self.crop)
