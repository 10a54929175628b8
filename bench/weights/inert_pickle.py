"""Inert pickle: reads the structure of a pickle that may name any object, and imports and calls none of them.

A training script's checkpoint has more in it than weights: options, NumPy's numbers, an optimiser. Whatever a pickle
names becomes a `Placeholder`, which does nothing when it is called or filled; only the few names that rebuild a tensor
or a dictionary stand for something, and for functions of this project. Tensors are described, not read: see
`StoredView`.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from functools import cache
from types import MappingProxyType
from typing import IO, Any, NamedTuple

#: Storage classes of PyTorch and the data types of their elements, in safetensors' names.
STORAGE_TYPES = MappingProxyType(
    {
        "DoubleStorage": "F64",
        "FloatStorage": "F32",
        "HalfStorage": "F16",
        "BFloat16Storage": "BF16",
        "LongStorage": "I64",
        "IntStorage": "I32",
        "ShortStorage": "I16",
        "CharStorage": "I8",
        "ByteStorage": "U8",
        "BoolStorage": "BOOL",
        "UntypedStorage": "U8",
        "ComplexFloatStorage": "C64",
        "ComplexDoubleStorage": "C128",
        "QInt8Storage": "QINT8",
        "QUInt8Storage": "QUINT8",
        "QInt32Storage": "QINT32",
    }
)
#: PyTorch's data types, in safetensors' names.
TYPES = MappingProxyType({"float64": "F64", "float32": "F32", "float16": "F16", "bfloat16": "BF16"})


class StoredView(NamedTuple):
    """A tensor of the file: a view of a storage, as `torch.as_strided` describes it.

    Attributes:
        key: of the storage.
        dtype: of its elements, in safetensors' names, as "F32"; or PyTorch's name of a type that has none here.
        offset, shape, strides: of the view, in elements.
    """

    key: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Storage(NamedTuple):
    key: str
    dtype: str
    offset: int = 0


class Placeholder(dict[Any, Any]):
    """Stands for an object that the pickle names. It keeps the entries of a dictionary, and nothing else.

    Attributes:
        name: the object's dotted name.
        is_module: whether it has the state of a `torch.nn.Module`.
    """

    name = "?"
    is_module = False

    def __new__(cls, *_: object, **__: object) -> Placeholder:
        """Ignore what the object would be made from."""
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        super().__init__()

    def __call__(self, *_: object, **__: object) -> Placeholder:
        """Stand for what a call of the object would return."""
        return self

    def __setstate__(self, state: object) -> None:
        self.is_module = isinstance(state, dict) and "_modules" in state

    def append(self, _: object) -> None:
        """An element of a list that the pickle fills."""

    def extend(self, _: object) -> None:
        """Elements of a list that the pickle fills."""

    def add(self, _: object) -> None:
        """An element of a set that the pickle fills."""

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__  # type: ignore[assignment]  # a dictionary has none


@cache
def _make_placeholder_class(module: str, name: str) -> type[Placeholder]:
    return type("Placeholder", (Placeholder,), {"name": f"{module}.{name}"})


def _make_view(storage: _Storage, dtype: str, offset: Any, shape: Any, strides: Any) -> StoredView:
    """Make a view of numbers that are numbers.

    Raises:
        pickle.UnpicklingError: some are not.
    """
    if not isinstance(storage, _Storage) or not all(type(number) is int for number in (offset, *shape, *strides)):
        raise pickle.UnpicklingError(f"a tensor with offset {offset!r}, shape {shape!r} and strides {strides!r}")
    return StoredView(storage.key, dtype, storage.offset + offset, tuple(shape), tuple(strides))


def _rebuild_view(storage: _Storage, offset: Any, shape: Any, strides: Any, *_: object) -> StoredView:
    return _make_view(storage, storage.dtype, offset, shape, strides)


def _rebuild_typed_view(
    storage: _Storage, offset: Any, shape: Any, strides: Any, _: object, __: object, dtype: Any, *___: object
) -> StoredView:
    """A tensor of a type without a storage class, whose storage is untyped."""
    name = getattr(dtype, "name", "?").removeprefix("torch.")
    return _make_view(storage, TYPES.get(name, name), offset, shape, strides)


def _return_first(value: Any, *_: object) -> Any:
    return value


def _rebuild_from_type(function: Any, _: object, arguments: Any, *__: object) -> Any:
    """A tensor with attributes of its own, or of a subclass of `torch.Tensor`."""
    return function(*arguments)


#: The names that stand for something, and for what. None of them is PyTorch's own function.
REBUILDERS: Mapping[tuple[str, str], Callable[..., Any]] = MappingProxyType(
    {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor"): _rebuild_view,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_view,
        ("torch._utils", "_rebuild_tensor_v3"): _rebuild_typed_view,
        ("torch._utils", "_rebuild_parameter"): _return_first,
        ("torch._utils", "_rebuild_parameter_with_state"): _return_first,
        ("torch._tensor", "_rebuild_from_type_v2"): _rebuild_from_type,
    }
)


class InertUnpickler(pickle.Unpickler):
    """Reads one pickle of a PyTorch file. `storages` are those that it names: the data type of each key."""

    def __init__(self, file: IO[bytes]) -> None:
        # Python 2 wrote names as bytes; all of Latin-1 can be decoded.
        super().__init__(file, encoding="latin1")
        self.storages: dict[str, str] = {}

    def find_class(self, module: str, name: str) -> Any:
        """What stands for the object with this name. Nothing is imported."""
        if module in ("torch", "torch.cuda", "torch.storage") and name in STORAGE_TYPES:
            return STORAGE_TYPES[name]
        return REBUILDERS.get((module, name)) or _make_placeholder_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        """The storage that `pid` refers to: ("storage", type, key, device, elements) and, in the old format, a part of
        it, (key, offset, elements).

        Raises:
            pickle.UnpicklingError: it refers to something else.
        """
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage" or not isinstance(pid[1], str):
            # The old format also refers to modules: (their class, its file, its source).
            if isinstance(pid, tuple) and pid[:1] == ("module",) and len(pid) > 1:
                return pid[1]
            raise pickle.UnpicklingError(f"a reference to {pid!r}")
        _, dtype, key, *_ = pid
        part = pid[5] if len(pid) > 5 else None
        self.storages[str(key)] = dtype
        return _Storage(str(key), dtype, int(part[1]) if part else 0)


def load(file: IO[bytes]) -> tuple[Any, Mapping[str, str]]:
    """Read the next pickle of an open file: the object, and the data type of each storage that it names.

    Raises:
        ValueError: it is truncated, or not a pickle.
    """
    unpickler = InertUnpickler(file)
    try:
        return unpickler.load(), unpickler.storages
    except Exception as error:
        # By the documentation of `pickle`, a damaged file may raise any exception.
        raise ValueError(f"{type(error).__name__}: {error}") from error
