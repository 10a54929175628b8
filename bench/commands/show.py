"""`bench show`: the tables of a run again, made from its records."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from bench import report, store
from bench.errors import UserError
from bench.report.terminal import show as draw
from bench.tables import tables


def show(name: str | None, relative_to: str | None, results: Path) -> int:
    """Print the tables; the exit status is 0, or 1 where a record could not be read.

    Raises:
        UserError: no such run, or none of its records can be read.
    """
    run = store.find(results, name)
    records, problems = store.read(run)
    console = Console()
    for problem in problems:
        console.print(f"Left out: {problem}", style="yellow", markup=False)
    if not records:
        raise UserError(f"run {run} has no readable record: run the benchmark again")
    try:
        about = json.loads((run / "environment.json").read_text())
    except (OSError, json.JSONDecodeError):
        about = {}
    told = about.get("run", {})
    made = tables(
        records,
        relative_to or told.get("relative_to", "pytorch"),
        told.get("skipped", {}),
        told.get("banner"),
    )
    draw(report.Report(records, made, about), console)
    return 1 if problems else 0
