"""Decoding: one image file to pixels, as torchvision's `ImageFolder` and Keras' loaders decode it."""

from __future__ import annotations

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from bench.data.images.framing import Framing

#: Pillow's names of the formats that are read, whatever the file is called; others may start programs, as EPS does. A
#: JPEG may be an MPO, of a camera, which has further pictures behind the first.
FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
#: The tag of the orientation (Exif 2.32, 4.6.4), and its values that turn nothing.
ORIENTATION, UPRIGHT = 0x0112, (None, 0, 1)
#: What is said where loaders do not what an image viewer does, before the number of images.
TURNED = "EXIF orientation is not applied, as in torchvision and Keras"
ANIMATED = "of an animation, the first picture is taken, as in torchvision and Keras"
DEEP = "of 16 bits of grey, the upper 8 are taken, as in Keras"
TRANSPARENT = "alpha is left out, as in torchvision and Keras"

#: An image that is not decoded yet: its file, its bytes, or its pixels (h, w, 3) uint8.
Undecoded = Path | bytes | np.ndarray


class Decoded(NamedTuple):
    """What became of an image.

    Attributes:
        pixels: (crop, crop, 3) uint8; None if it cannot be read.
        problem: why it cannot be read.
        remarks: those of the lines above that are true of it.
    """

    pixels: np.ndarray | None
    problem: str = ""
    remarks: tuple[str, ...] = ()


def decode(content: Undecoded, framing: Framing) -> Decoded:
    """Decode an image, and resize and crop it. Nothing that is in a file raises an error."""
    try:
        if isinstance(content, np.ndarray):
            return Decoded(framing.apply(Image.fromarray(content)))
        with Image.open(content if isinstance(content, Path) else io.BytesIO(content), formats=FORMATS) as image:
            remarks = [ANIMATED] if getattr(image, "is_animated", False) and image.format != "MPO" else []
            image.load()
            return Decoded(framing.apply(_make_rgb(image, remarks)), remarks=tuple(remarks))
    except Exception as error:  # a damaged file may raise any
        return Decoded(None, _explain(error))


def _make_rgb(image: Image.Image, remarks: list[str]) -> Image.Image:
    """Make an image RGB as torchvision does, with `Image.convert`, except for 16 bits of grey, which that clips."""
    if _read_orientation(image) not in UPRIGHT:
        remarks.append(TURNED)
    if image.has_transparency_data:
        remarks.append(TRANSPARENT)
    if image.mode.startswith("I"):
        remarks.append(DEEP)
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    return image.convert("RGB")


def _read_orientation(image: Image.Image) -> object:
    try:
        return image.getexif().get(ORIENTATION)
    except Exception:  # damaged EXIF data may raise any, and the image itself is whole
        return None


def _explain(error: Exception) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,} pixels"
    if isinstance(error, UnidentifiedImageError):
        return "no image"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    return (str(error).splitlines() or [""])[0] or type(error).__name__
