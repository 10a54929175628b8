"""Amounts as people type them: percentages, times, sizes and numbers of channels, parsed to numbers."""

from __future__ import annotations

import math
import re

from bench.errors import UserError

UNIT_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
UNIT_BYTES = {"MB": 2**20, "GB": 2**30, "TB": 2**40}


def parse_share(text: str | None) -> float | None:
    """Parse `2%` or `0.02`: 0.02. None stays None.

    Raises:
        UserError: it is neither, or not between 0 and 100 %.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", text.strip())
    value = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < value < 1:
        raise UserError(f"{text!r} is no share: give a percentage above 0 % and below 100 %, as 2%")
    return value


def parse_margin(text: str) -> tuple[str | None, float]:
    """Parse a margin: `3%` is (None, 0.03), and `host-memory=5%` is ("host-memory", 0.05).

    Raises:
        UserError: the value is no share.
    """
    name, _, value = text.rpartition("=")
    return name.strip() or None, parse_share(value) or 0.0


def parse_seconds(text: str | None) -> float | None:
    """Parse a time to seconds: `90s`, `10m`, `1.5h`, or a number of seconds. None stays None.

    Raises:
        UserError: it is none of these, 0, or larger than a float can be.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    value = float(match[1]) * UNIT_SECONDS[match[2] or "s"] if match else 0.0
    if not value or math.isinf(value):
        raise UserError(f"{text!r} is no time: give seconds, minutes or hours, as 90s, 10m or 1h")
    return value


def parse_size(text: str) -> int:
    """Parse `500MB` or `4GB` to bytes; 1 MB is 2**20 bytes.

    Raises:
        UserError: it is no size, or larger than a float can be.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(MB|GB|TB)", text.strip(), re.IGNORECASE)
    size = float(match[1]) * UNIT_BYTES[match[2].upper()] if match else math.inf
    if math.isinf(size):
        raise UserError(f"{text!r} is no size: give MB, GB or TB, as 500MB or 4GB")
    return int(size)


def parse_channels(text: str) -> tuple[float, float, float]:
    """Parse three numbers with commas between, as `0.485,0.456,0.406`, or one that is that of each channel.

    Raises:
        UserError: it is neither.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 3) or not all(map(math.isfinite, numbers)):
        raise UserError(
            f"{text!r} is not a number for each channel: give three finite numbers, as 0.485,0.456,0.406, or one"
        )
    first, second, third = numbers * (3 // len(numbers))
    return first, second, third
