"""Entries of pytest-benchmark's JSON files, merged over launches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pytest_benchmark.stats import Stats


def merge_entries(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge entries of one benchmark into the first: all rounds in one list, with pytest-benchmark's statistics.

    The rounds of all entries have the same length; rounds of another launch do not, see `divide_by_steps`.
    """
    first = entries[0]
    rounds = (seconds for entry in entries for seconds in entry["stats"]["data"])
    return replace_rounds(first, rounds, first["stats"]["iterations"])


def divide_by_steps(entry: Mapping[str, Any]) -> list[float]:
    """Compute the seconds per training step of each round of one launch's entry."""
    return [seconds / entry["extra_info"]["steps_per_round"] for seconds in entry["stats"]["data"]]


def replace_rounds(entry: Mapping[str, Any], seconds: Iterable[float], iterations: int) -> dict[str, Any]:
    """Replace the rounds of an entry, and pytest-benchmark's statistics of them.

    Args:
        entry: of a benchmark.
        seconds: of each round, per iteration, as pytest-benchmark stores them.
        iterations: in a round.
    """
    stats = Stats()
    for one in seconds:
        stats.update(one)
    return {**entry, "stats": {**stats.as_dict(), "data": stats.data, "iterations": iterations}}
