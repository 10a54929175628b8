"""The comparison of what two functions return, for `bench run --same-output`: a function of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

#: The largest relative difference at which two outputs count as the same: that of single precision after some layers,
#: as for the forward pass in `bench.parity.tolerances`.
OUTPUT_TOLERANCE = 1e-4
#: Kinds of NumPy's types that are compared exactly: booleans, integers and texts.
EXACT = "biuU"
#: How the output itself is named, which has no place in another one.
WHOLE = "the output"


@dataclass(frozen=True)
class OutputComparison:
    """What the comparison of an output with the first one has found.

    Attributes:
        label: whose output it is.
        difference: the largest relative difference, of those that are numbers.
        place: where that is.
        problems: a text for each place at which both are not the same.
    """

    label: str
    difference: float
    place: str
    problems: tuple[str, ...]


def compare_outputs(
    label: str, first: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray], tolerance: float
) -> OutputComparison:
    """Compare an output with the first one, place by place.

    Floats are the same if no difference is above `tolerance` times the largest absolute value of both arrays; texts,
    booleans and integers if they are equal. Two NaN, or two infinities of one sign, are equal. Types of one kind, as
    float32 and float64, count as the same.

    Args:
        label: whose output `other` is.
        first, other: arrays by their places, see `bench.worker.output_file`.
        tolerance: largest relative difference.
    """
    largest, where, problems = 0.0, "", []
    for place in dict.fromkeys((*first, *other)):
        if place not in first or place not in other:
            which = "the first one" if place in first else "only this one"
            problems.append(f"{which} has {name_place(place)}")
            continue
        difference, problem = _compare_arrays(first[place], other[place], tolerance)
        if problem:
            problems.append(f"{name_place(place)}: {problem}")
        if difference > largest:
            largest, where = difference, place
    return OutputComparison(label, largest, name_place(where) if largest else "", tuple(problems))


def name_place(place: str) -> str:
    """Name a place of an output in a sentence."""
    return place or WHOLE


def _compare_arrays(first: np.ndarray, other: np.ndarray, tolerance: float) -> tuple[float, str | None]:
    """The largest relative difference of two arrays, and what is not the same; None if they are the same."""
    if first.shape != other.shape:
        return 0.0, f"shape {_format_shape(other)} in place of {_format_shape(first)}"
    if not first.size:
        return 0.0, None
    kinds = {first.dtype.kind, other.dtype.kind}
    if "U" in kinds and kinds != {"U"}:
        return 0.0, f"{_format(other.flat[0])} in place of {_format(first.flat[0])}"
    if kinds <= set(EXACT):
        unequal = first != other
        if not unequal.any():
            return 0.0, None
        found = f"{int(unequal.sum())} of {first.size} values, the first is " if first.size > 1 else ""
        return 0.0, found + _describe(first, other, int(np.argmax(unequal)))
    kind = np.complex128 if "c" in kinds else np.float64
    left, right = first.astype(kind), other.astype(kind)
    both_finite = np.isfinite(left) & np.isfinite(right)
    equal = (left == right) | (np.isnan(left) & np.isnan(right))
    if (unlike := ~both_finite & ~equal).any():
        return 0.0, _describe(first, other, int(np.argmax(unlike)))
    distances = np.where(both_finite & ~equal, np.abs(np.where(equal, 0, left) - np.where(equal, 0, right)), 0.0)
    sizes = np.where(both_finite, np.maximum(np.abs(left), np.abs(right)), 0.0)
    difference = float(distances.max() / (sizes.max() or 1.0))
    if difference <= tolerance:
        return difference, None
    size = f"{difference:.2g} of the largest value" if first.size > 1 else f"a relative difference of {difference:.2g}"
    return difference, f"{_describe(first, other, int(np.argmax(distances)))}, {size}"


def _describe(first: np.ndarray, other: np.ndarray, index: int) -> str:
    """Both values at an index of the flattened arrays."""
    where = ", ".join(map(str, np.unravel_index(index, first.shape)))
    return f"{_format(other.flat[index])} in place of {_format(first.flat[index])}" + (
        f" at [{where}]" if where else ""
    )


def _format(value: np.generic) -> str:
    if value.dtype.kind == "U":
        return "None" if value == "None" else repr(str(value))
    return str(value) if value.dtype.kind in EXACT else f"{value:.6g}"


def _format_shape(array: np.ndarray) -> str:
    return str(tuple(map(int, array.shape)))
