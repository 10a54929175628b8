"""Entries of pytest-benchmark's files: several of the same benchmark as one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pytest_benchmark.stats import Stats


def joined(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The first entry, with the rounds of all of them in one list and pytest-benchmark's own statistics over it."""
    stats = Stats()
    for entry in entries:
        for seconds in entry["stats"]["data"]:
            stats.update(seconds)
    first = entries[0]
    return {**first, "stats": {**stats.as_dict(), "data": stats.data, "iterations": first["stats"]["iterations"]}}
