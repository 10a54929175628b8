"""Durations in words that change calmly: minutes while there are some, then tens of seconds."""

from __future__ import annotations


def format_duration(seconds: float) -> str:
    """Format seconds as `12 min`, `90 s` or `8 s`, rounded to what one can act on."""
    if seconds >= 570:
        return f"{seconds / 60:.0f} min"
    if seconds >= 120:
        return f"{seconds / 60:.1f} min".replace(".0 ", " ")
    step = 10 if seconds >= 30 else 5 if seconds >= 10 else 1
    return f"{max(1, round(seconds / step)) * step} s"
