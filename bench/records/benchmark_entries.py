"""Entries of pytest-benchmark's JSON files, merged over launches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_benchmark.stats import Stats


def merge_entries(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Merge entries of one benchmark into the first: all rounds in one list, with pytest-benchmark's statistics."""
    stats = Stats()
    for entry in entries:
        for seconds in entry["stats"]["data"]:
            stats.update(seconds)
    first = entries[0]
    return {**first, "stats": {**stats.as_dict(), "data": stats.data, "iterations": first["stats"]["iterations"]}}
