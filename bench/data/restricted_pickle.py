"""Restricted pickle: reads the pickles in which CIFAR-10 is published or was written again, and runs no code from them.

A pickle can call any function. These files call a few, all of them to rebuild bytes and NumPy's arrays and scalars;
every other one is refused before it is imported.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy._core.multiarray import _reconstruct, scalar


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


def _make_empty_bytes() -> bytes:
    """By which Python 3 writes empty bytes in Python 2's protocol."""
    return b""


def _make_array(buffer: Any, dtype: np.dtype[Any], shape: Any, order: Any, axes: Any = None) -> np.ndarray[Any, Any]:
    """Make an array of bytes, as protocol 5 writes it. `axes` is the order of the axes in memory, where it is neither
    C's nor Fortran's.
    """
    flat = np.frombuffer(buffer, dtype)
    return flat.reshape(shape, order=order) if axes is None else flat.reshape(shape).transpose(axes)


#: The allowed objects, by module and name. NumPy 2 renamed `numpy.core` to `numpy._core`; files have either name.
ALLOWED: MappingProxyType[tuple[str, str], Callable[..., Any]] = MappingProxyType(
    {
        **{
            (f"numpy.{core}.{module}", name): function
            for core in ("core", "_core")
            for module, name, function in (
                ("multiarray", "_reconstruct", _reconstruct),
                ("multiarray", "scalar", scalar),
                ("numeric", "_frombuffer", _make_array),
            )
        },
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _encode_latin1,
        ("__builtin__", "bytes"): _make_empty_bytes,
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
