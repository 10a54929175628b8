"""`bench run`: measure, show, store."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from bench import comparison, report, store
from bench.environment import environment
from bench.progress import Progress
from bench.record import Record
from bench.request import Plan, Request, plan
from bench.tables import tables


def compare(**options: Any) -> int:
    """Run the comparison; the exit status is 0, 1 where a worker died, 130 where it was stopped.

    Raises:
        UserError: a mistake of the user's, before anything was started.
    """
    console = Console()
    request = Request(**options)
    chosen = plan(request)
    run = store.create(request.results, chosen.suite.name, datetime.now(UTC))
    about = environment() | {
        "run": {
            "command": shlex.join(sys.argv[1:]),
            "suite": chosen.suite.model_dump(mode="json"),
            "skipped": chosen.skipped,
            "banner": chosen.banner,
            "relative_to": chosen.relative_to,
            "interleaved": not chosen.isolated,
            "checkpoints": {task.task.name: task.checkpoint.source for task in chosen.tasks},
            "datasets": {task.task.name: task.dataset.source for task in chosen.tasks},
        }
    }
    store.write_text(run / "environment.json", json.dumps(about, indent=2) + "\n")
    _announce(console, chosen)
    records: list[Record] = []
    stopped = False
    try:
        with Progress(console, chosen) as progress:
            for launch in comparison.compare(chosen, run, progress):
                records += launch
    except KeyboardInterrupt:
        stopped = True
    if records:
        _report(console, run, records, chosen, about)
    if chosen.banner:
        console.print(Panel(Text(chosen.banner), style="yellow"))
    if stopped:
        done = f"{len(records)} finished launches lie in {run}" if records else "nothing had finished"
        console.print(f"Stopped: {done}.", style="red", markup=False)
        return 130
    console.print(f"Results: {run}", soft_wrap=True, markup=False)
    return 1 if any(record.failure for record in records) else 0


def _announce(console: Console, chosen: Plan) -> None:
    if chosen.banner:
        console.print(Panel(Text(chosen.banner), style="yellow"))
    for backend, reason in chosen.skipped.items():
        console.print(f"Skipped: {backend}: {reason}", style="yellow", markup=False)


def _report(console: Console, run: Path, records: Sequence[Record], chosen: Plan, about: dict[str, Any]) -> None:
    made = tables(records, chosen.relative_to, chosen.skipped, chosen.banner)
    whole = report.Report(records, made, about)
    report.write(run, whole)
    from bench.report.terminal import show

    show(whole, console)
