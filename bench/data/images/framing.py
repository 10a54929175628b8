"""Framing: how an image of any size becomes a square, as with torchvision's `Resize` and `CenterCrop`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

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
        """Resize and crop an image in RGB; returns (crop, crop, 3) uint8.

        Source: torchvision's `functional.resize` with one size, which rounds the longer side down, and
        `functional.center_crop`.

        Raises:
            TooLong: the resized image would have more than `MOST_PIXELS`.
        """
        width, height = image.size
        short, long = sorted((width, height))
        if short != self.resize:
            longer = int(self.resize * long / short)
            if self.resize * longer > MOST_PIXELS:
                raise TooLong(f"its shorter side at {self.resize} px, the longer one would have {longer:,}")
            size = (self.resize, longer) if width <= height else (longer, self.resize)
            image = image.resize(size, Image.Resampling.BILINEAR)
            width, height = size
        left, top = round((width - self.crop) / 2), round((height - self.crop) / 2)
        return np.asarray(image.crop((left, top, left + self.crop, top + self.crop)))
