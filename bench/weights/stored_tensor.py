"""Stored tensor: a tensor of a file of weights, described without being read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

#: Bytes of an element, by data type: safetensors' names, and PyTorch's where safetensors has none.
ELEMENT_BYTES = MappingProxyType(
    {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
    | {"C64": 8, "C128": 16, "QINT8": 1, "QUINT8": 1, "QINT32": 4}
)
#: The data types that are converted to float32 without a loss that matters.
FLOATS = frozenset({"F64", "F32", "F16", "BF16"})


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a file.

    Attributes:
        shape: in PyTorch's order.
        dtype: in safetensors' names, as "F32".
        read_bytes: reads the elements, contiguous and little-endian.
    """

    shape: tuple[int, ...]
    dtype: str
    read_bytes: Callable[[], bytes]

    def read(self) -> np.ndarray:
        """The elements as float32.

        Raises:
            ValueError: they are not all there, or they are no floating-point numbers.
        """
        if self.dtype not in FLOATS:
            raise ValueError(f"elements are {self.dtype}")
        content = self.read_bytes()
        if self.dtype == "BF16":
            # bfloat16 is the upper half of float32.
            elements = (np.frombuffer(content, "<u2").astype("<u4") << 16).view("<f4")
        else:
            elements = np.frombuffer(content, f"<f{ELEMENT_BYTES[self.dtype]}")
        return np.ascontiguousarray(elements.reshape(self.shape), dtype=np.float32)
