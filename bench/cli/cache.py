"""`bench cache`: the features that were computed once and kept."""

from __future__ import annotations

from datetime import datetime

from rich.console import Console
from rich.table import Table

from bench.cache import features
from bench.records.units import MB


def list_all() -> None:
    """Print the entries."""
    table = Table("features", "MB", "used last", box=None, header_style="bold")
    for entry in features.entries():
        used = datetime.fromtimestamp(entry.used).astimezone()
        table.add_row(entry.path.stem, f"{entry.size / MB:,.1f}", f"{used:%Y-%m-%d %H:%M}")
    Console().print(table)


def clear() -> None:
    """Remove all entries, and say how much is free again."""
    print(f"{features.clear() / MB:,.1f} MB of cached features removed from {features.folder()}")
