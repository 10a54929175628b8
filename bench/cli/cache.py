"""`bench cache`: list or remove the features that were computed once and kept."""

from __future__ import annotations

from datetime import datetime

from cyclopts import App
from rich.console import Console
from rich.table import Table

cache = App(name="cache", help="List or remove cached features.")


@cache.command(name="list")
def list_entries() -> None:
    """List cached features, with their size and last use."""
    from bench.cache import features
    from bench.records.units import MB

    table = Table("features", "MB", "used last", box=None, header_style="bold")
    for entry in features.list_entries():
        used = datetime.fromtimestamp(entry.used).astimezone()
        table.add_row(entry.path.stem, f"{entry.size / MB:,.1f}", f"{used:%Y-%m-%d %H:%M}")
    Console().print(table)


@cache.command
def clear() -> None:
    """Remove all cached features, and what was found about the fastest way to compute them."""
    from bench.cache import extraction_trials, features
    from bench.records.units import MB

    extraction_trials.clear()
    print(f"{features.clear() / MB:,.1f} MB of cached features removed from {features.get_folder()}")
