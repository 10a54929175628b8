"""Which test images were classified rightly, as a record carries it: a bit an image, in a short text."""

from __future__ import annotations

import base64
import zlib

import numpy as np


def pack(right: np.ndarray) -> str:
    """(n,) bool as text: NumPy's `packbits`, compressed by zlib, in base64."""
    return base64.b64encode(zlib.compress(np.packbits(right).tobytes(), 9)).decode()


def unpack(text: str, images: int) -> np.ndarray:
    """(images,) bool of `pack`'s text.

    Raises:
        ValueError: the text is none, or has another number of images.
    """
    try:
        bits = np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), np.uint8))
    except (ValueError, zlib.error) as error:
        raise ValueError(f"this does not tell which images were right: {error}") from None
    if not images <= bits.size < images + 8:
        raise ValueError(f"this tells of about {bits.size} images, not of {images}")
    return bits[:images].astype(bool)
