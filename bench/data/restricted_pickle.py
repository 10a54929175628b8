"""Restricted pickle: reads the Python 2 pickles in which CIFAR-10 is published, and runs no code from them.

A pickle can call any function. The published files call three, all of them to rebuild a NumPy array; every other one is
refused before it is imported.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy._core.multiarray import _reconstruct


class ForbiddenCode(Exception):
    """The pickle names an object that data does not need; the message is its dotted name."""


def _encode_latin1(text: str, encoding: str = "latin1") -> bytes:
    """Encode text as `_codecs.encode(text, "latin1")`, by which Python 3 writes bytes in Python 2's protocol.

    Raises:
        ForbiddenCode: another encoding.
    """
    if encoding != "latin1":
        raise ForbiddenCode(f"_codecs.encode with {encoding}")
    return text.encode("latin1")


#: The allowed objects, by module and name. NumPy 2 renamed `numpy.core` to `numpy._core`; files have either name.
ALLOWED: MappingProxyType[tuple[str, str], Callable[..., Any]] = MappingProxyType(
    {
        ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _encode_latin1,
    }
)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return ALLOWED[module, name]
        except KeyError:
            raise ForbiddenCode(f"{module}.{name}") from None


def loads(content: bytes) -> Any:
    """Read the object in `content`; Python 2 strings become bytes.

    Raises:
        ForbiddenCode: it names an object that does not serve to rebuild a NumPy array.
        ValueError: it is truncated, or not a pickle.
    """
    try:
        return _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except ForbiddenCode:
        raise
    except Exception as error:
        # By the documentation of `pickle`, a damaged file may raise any exception.
        raise ValueError(f"{type(error).__name__}: {error}") from error
