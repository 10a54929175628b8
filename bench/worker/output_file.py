"""The output of a benchmarked function in a file: its arrays, numbers and texts, each by its place in the output."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

#: The kinds of NumPy's types that are kept: booleans, integers, floats, complex numbers and texts.
KINDS = "biufcU"
#: The key of the places in the file; the values are under their numbers.
PLACES = "places"


class UnknownOutput(Exception):
    """The output has a part that is neither an array nor a number, a text or None."""


def write_output(file: Path, output: object) -> None:
    """Write an output as a file of NumPy's, without pickles.

    Raises:
        UnknownOutput: it cannot be compared; the message names the place and the type.
    """
    leaves = dict(_list_leaves(output, ""))
    places = np.array(list(leaves), dtype=str)
    arrays = {str(number): leaf for number, leaf in enumerate(leaves.values())}
    np.savez(file, allow_pickle=False, **{PLACES: places, **arrays})


def read_output(file: Path) -> dict[str, np.ndarray]:
    """Read an output: its arrays by their places, as `['loss']` or `[0]`; a place is empty if the output is an array.

    None is the text `None`.
    """
    with np.load(file) as arrays:
        return {str(place): arrays[str(number)] for number, place in enumerate(arrays[PLACES])}


def _list_leaves(value: object, place: str) -> Iterator[tuple[str, np.ndarray]]:
    if isinstance(value, Mapping):
        for key, one in value.items():
            yield from _list_leaves(one, f"{place}[{key!r}]")
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _list_leaves(getattr(value, field.name), f"{place}[{field.name!r}]")
    elif isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        for number, one in enumerate(value):
            yield from _list_leaves(one, f"{place}[{number}]")
    else:
        yield place, _make_array(value, place)


def _make_array(value: object, place: str) -> np.ndarray:
    """Make an array of a number, a text, None, or an array of any framework, which may be on a device.

    Raises:
        UnknownOutput: it is something else.
    """
    array = np.asarray("None" if value is None else _copy_to_host(value))
    if array.dtype.kind == "V" and array.dtype.names is None:
        array = array.astype(np.float32)  # NumPy has no bfloat16 of its own
    if array.dtype.kind not in KINDS:
        raise UnknownOutput(f"a {type(value).__module__}.{type(value).__qualname__}{f' at {place}' if place else ''}")
    return array


def _copy_to_host(value: Any) -> Any:
    """A tensor without its gradient and in the host's memory, in a precision that NumPy has; anything else as it is."""
    if not callable(getattr(value, "detach", None)):
        return value
    tensor = value.detach().cpu()
    return tensor.float() if "bfloat16" in str(tensor.dtype) else tensor
