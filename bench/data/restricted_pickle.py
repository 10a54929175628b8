"""Restricted pickle: reads the Python 2 pickles that CIFAR-10 is published in, and never runs what they name.

A pickle is a program that may call anything. The published files call three things, all of them to rebuild a
NumPy array; everything else is refused before it is imported.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy._core.multiarray import _reconstruct


class HoldsCode(Exception):
    """The pickle names something that data does not need; the message is its dotted name."""


def _latin1(text: str, encoding: str = "latin1") -> bytes:
    """How Python 3 writes bytes in Python 2's protocol: `_codecs.encode(text, "latin1")`; no other codec."""
    if encoding != "latin1":
        raise HoldsCode(f"_codecs.encode with {encoding}")
    return text.encode("latin1")


#: NumPy 2 renamed `numpy.core` to `numpy._core`; files written by either are read by either.
ALLOWED: MappingProxyType[tuple[str, str], Callable[..., Any]] = MappingProxyType(
    {
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _latin1,
    }
)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise HoldsCode(f"{module}.{name}") from None


def loads(content: bytes) -> Any:
    """The object in `content`; Python 2 strings become bytes.

    Raises:
        HoldsCode: it names anything but the rebuilding of a NumPy array.
        ValueError: it is cut off or no pickle at all.
    """
    try:
        return _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except HoldsCode:
        raise
    except Exception as error:
        # The pickle module documents that a damaged file may raise anything.
        raise ValueError(f"{type(error).__name__}: {error}") from error
