"""The search for the largest batch size that fits: which one to try next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: The search ends when the smallest batch that does not fit is at most this share larger than the largest that does.
TOLERANCE = 0.05
#: Batch sizes of this many images and more are tried in multiples of `MULTIPLE`, which kernels like.
MANY = 64
MULTIPLE = 8
#: A batch is at most so many times as large as the largest one that has fitted.
GROWTH = 8
#: The same where two trials took the same memory, or it is not known.
BLIND = 4
#: The share of what a straight line through two trials predicts to fit: a batch below it fits more often than not.
CAUTION = 0.97
#: A batch between two that are known is at least this share of their distance away from both, so that the search ends.
CLOSEST = 1 / 4


@dataclass(frozen=True)
class Trial:
    """A batch size that was tried.

    Attributes:
        batch_size: in images.
        fits: whether the training steps were made.
        memory: the most that they took, in bytes; until it was ended, if it does not fit.
        reason: why it does not fit; empty if it does.
    """

    batch_size: int
    fits: bool
    memory: int
    reason: str = ""


def find_bounds(trials: Sequence[Trial]) -> tuple[Trial | None, Trial | None]:
    """Find the smallest batch that does not fit, and the largest below it that does: `(fitting, failing)`."""
    failing = min((one for one in trials if not one.fits), key=lambda one: one.batch_size, default=None)
    below = [one for one in trials if one.fits and (failing is None or one.batch_size < failing.batch_size)]
    return max(below, key=lambda one: one.batch_size, default=None), failing


def choose_batch_size(trials: Sequence[Trial], start: int, most: int, limit: int) -> int | None:
    """Choose the batch size to try next; None when the largest that fits is known within `TOLERANCE`.

    It grows until one does not fit, and then lies between the two that are known: where a straight line through the
    memory of the two largest that fit meets the limit, if that is between them.

    Args:
        trials: until now.
        start: the first batch size.
        most: the largest batch size that there is: all training images.
        limit: bytes that a batch may take.
    """
    fitting, failing = find_bounds(trials)
    if failing is None:
        if fitting is None:
            return min(start, most)
        return _grow(fitting.batch_size, most, _predict(trials, limit))
    if fitting is None:
        return failing.batch_size // 2 or None
    low, high = fitting.batch_size, failing.batch_size
    if high - low <= max(1, TOLERANCE * low):
        return None
    predicted = _predict(trials, limit) or (low + high) / 2
    margin = CLOSEST * (high - low)
    chosen = _round(min(max(CAUTION * predicted, low + margin), high - margin))
    return chosen if chosen > low else (low + high) // 2


def _grow(low: int, most: int, predicted: float | None) -> int | None:
    """A larger batch than one that fits: the predicted one, but at least a little larger, which may not fit."""
    if low >= most:
        return None
    wanted = BLIND * low if predicted is None else max(CAUTION * predicted, (1 + TOLERANCE) * low)
    return min(max(_round(min(wanted, GROWTH * low)), low + 1), most)


def _predict(trials: Sequence[Trial], limit: int) -> float | None:
    """The batch size whose memory is the limit, on the line through the two largest that fit; None without one."""
    fitting = sorted((one for one in trials if one.fits), key=lambda one: one.batch_size)[-2:]
    if len(fitting) < 2 or fitting[1].memory <= fitting[0].memory:
        return None
    smaller, larger = fitting
    slope = (larger.memory - smaller.memory) / (larger.batch_size - smaller.batch_size)
    return larger.batch_size + (limit - larger.memory) / slope


def _round(size: float) -> int:
    whole = int(size)
    return whole if whole < MANY else whole - whole % MULTIPLE
