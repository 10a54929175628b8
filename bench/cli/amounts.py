"""Amounts as people type them."""

from __future__ import annotations

import re

from bench.errors import UserError

UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
SIZES = {"MB": 2**20, "GB": 2**30, "TB": 2**40}


def share(text: str | None) -> float | None:
    """`2%` or `0.02` as 0.02.

    Raises:
        UserError: neither, or not between 0 and 100 %.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%?)", text.strip())
    value = float(found[1]) / (100 if found[2] else 1) if found else 0.0
    if not 0 < value < 1:
        raise UserError(f"{text!r} is no share: give a percentage above 0 % and below 100 %, as 2%")
    return value


def margin(text: str) -> tuple[str | None, float]:
    """`3%` as (None, 0.03), and `host-memory=5%` as ("host-memory", 0.05).

    Raises:
        UserError: the share is none.
    """
    name, _, value = text.rpartition("=")
    return name.strip() or None, share(value) or 0.0


def seconds(text: str | None) -> float | None:
    """`90s`, `10m`, `1.5h`, or a bare number of seconds.

    Raises:
        UserError: none of them, or nothing.
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    value = float(found[1]) * UNITS[found[2] or "s"] if found else 0.0
    if not value:
        raise UserError(f"{text!r} is no time: give seconds, minutes or hours, as 90s, 10m or 1h")
    return value


def size(text: str) -> int:
    """`500MB` or `4GB`, in bytes; a MB is 2**20 of them.

    Raises:
        UserError: neither.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(MB|GB|TB)", text.strip(), re.IGNORECASE)
    if not found:
        raise UserError(f"{text!r} is no size: give MB, GB or TB, as 500MB or 4GB")
    return int(float(found[1]) * SIZES[found[2].upper()])
