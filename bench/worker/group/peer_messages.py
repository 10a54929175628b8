"""The messages between the processes of a case: pickled, but for arrays that both sides have read from the same files.

Such an array, or a part of its rows, is sent as its name and the numbers of the rows.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

KnownArrays = Mapping[str, np.ndarray]


def send(connection: Connection, message: object, known: KnownArrays) -> None:
    """Send a message.

    Args:
        known: arrays that the other side has under the same names.

    Raises:
        OSError: the other side has closed its end.
    """
    buffer = io.BytesIO()
    _Pickler(buffer, known).dump(message)
    connection.send_bytes(buffer.getbuffer())


def receive(connection: Connection, known: KnownArrays) -> Any:
    """Wait for the next message, without using the CPU.

    Raises:
        EOFError, OSError: the other side has closed its end.
    """
    return _Unpickler(io.BytesIO(connection.recv_bytes()), known).load()


class _Pickler(pickle.Pickler):
    def __init__(self, buffer: io.BytesIO, known: KnownArrays) -> None:
        super().__init__(buffer, protocol=pickle.HIGHEST_PROTOCOL)
        self._known = known

    def persistent_id(self, one: object) -> tuple[str, int, int] | None:
        """The name and the rows of a known array; None for everything else."""
        if not isinstance(one, np.ndarray) or not one.size or not one.flags.c_contiguous:
            return None
        for name, whole in self._known.items():
            offset = _find_address(one) - _find_address(whole)
            if 0 <= offset < whole.nbytes and one.dtype == whole.dtype and one.shape[1:] == whole.shape[1:]:
                row, inside = divmod(offset, whole.strides[0])
                if not inside:
                    return name, row, row + len(one)
        return None


class _Unpickler(pickle.Unpickler):
    def __init__(self, buffer: io.BytesIO, known: KnownArrays) -> None:
        super().__init__(buffer)
        self._known = known

    def persistent_load(self, reference: tuple[str, int, int]) -> np.ndarray:
        """The rows of a known array."""
        name, start, end = reference
        return self._known[name][start:end]


def _find_address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])
