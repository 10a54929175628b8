"""`bench cache`: list or remove what was computed once and kept."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from cyclopts import App, Parameter
from rich.console import Console
from rich.table import Table

cache = App(name="cache", help="List or remove what is kept: features, decoded images, exported networks, programs.")

Kind = Literal["features", "images", "networks", "programs"]


@cache.command(name="list")
def list_entries() -> None:
    """List what is kept, with its size and last use."""
    from bench.cache import features
    from bench.cache.kept_entries import KEPT, list_kept
    from bench.records.units import MB

    table = Table("kind", "name", "MB", "used last", box=None, header_style="bold")
    kinds = {"features": features.list_entries(), **{kind: list_kept(kind) for kind in KEPT}}
    for kind, entries in kinds.items():
        for entry in entries:
            used = datetime.fromtimestamp(entry.used).astimezone()
            table.add_row(kind, entry.path.stem, f"{entry.size / MB:,.1f}", f"{used:%Y-%m-%d %H:%M}")
    Console().print(table)


@cache.command
def clear(kind: Annotated[Kind, Parameter(help="What to remove; `features` by default.")] = "features", /) -> None:
    """Remove everything of a kind.

    Features (with what was found about the fastest way to compute them), decoded images and exported networks are made
    again by the next run that needs them. A program is kept when its file is given with --backbone.
    """
    from bench.cache import extraction_trials, features
    from bench.cache.home import get_home
    from bench.cache.kept_entries import clear_kept
    from bench.measure.machine_lock import hold_lock
    from bench.records.units import MB

    if kind == "features":
        extraction_trials.clear()
        print(f"{features.clear() / MB:,.1f} MB of cached features removed from {features.get_folder()}")
        return
    with hold_lock("bench cache clear", False, print):  # a worker may be about to read them
        print(f"{clear_kept(kind) / MB:,.1f} MB of {kind} removed from {get_home()}")
