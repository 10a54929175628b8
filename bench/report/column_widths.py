"""Widths of a table's columns on a terminal, so that no word is broken while another column has spare width."""

from __future__ import annotations

from collections.abc import Sequence

from rich.cells import cell_len


def find_longest_word(texts: Sequence[str]) -> int:
    """Return the width of the longest word among the texts."""
    return max((cell_len(word) for text in texts for word in text.split()), default=0)


def distribute_width(columns: Sequence[Sequence[str]], least: Sequence[int], width: int) -> list[int]:
    """Distribute the width among columns, which get at least their least width and at most that of their longest line.

    Args:
        columns: the texts of each column, its heading among them.
        least: the least width of each column.
        width: for all columns together, without the gaps between them.
    """
    full = [max((cell_len(line) for text in texts for line in text.splitlines()), default=0) for texts in columns]
    widths = list(least)
    for _ in range(width - sum(widths)):
        narrowest = max(range(len(widths)), key=lambda i: full[i] - widths[i])
        widths[narrowest] += full[narrowest] > widths[narrowest]
    return widths
