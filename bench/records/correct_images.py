"""Which test images were classified correctly, encoded as a short text for the record."""

from __future__ import annotations

import base64
import zlib

import numpy as np


def encode_correct_images(right: np.ndarray) -> str:
    """Encode (n,) bool, True for correct, as text: NumPy's `packbits`, compressed by zlib, in base64."""
    return base64.b64encode(zlib.compress(np.packbits(right).tobytes(), 9)).decode()


def decode_correct_images(text: str, images: int) -> np.ndarray:
    """Decode the text of `encode_correct_images` to (images,) bool.

    Raises:
        ValueError: the text is not valid, or was made from another number of images.
    """
    try:
        bits = np.unpackbits(np.frombuffer(zlib.decompress(base64.b64decode(text, validate=True)), np.uint8))
    except (ValueError, zlib.error) as error:
        raise ValueError(f"not an encoded list of correct images: {error}") from None
    if not images <= bits.size < images + 8:
        raise ValueError(f"the text encodes about {bits.size} images, not {images}")
    return bits[:images].astype(bool)
