"""`bench parity`: the whole proof, in tables."""

from __future__ import annotations

from typing import Any

from rich.console import Console

from bench.analysis.launches import by_task
from bench.measure.progress import Progress
from bench.measure.run import prove as run_proof
from bench.plan.request import Request, plan
from bench.report.tables.parity_table import parity_table
from bench.report.terminal import drawn, say_what_is_missing

#: As the proof asks for: 64 images, 50 steps of the task's own batches.
IMAGES, STEPS = 64, 50


def prove(**options: Any) -> int:
    """Print a table a task; the exit status is 0, or 1 where a case failed its proof or a worker died.

    Raises:
        UserError: a mistake of the user's, before anything was started.
    """
    console = Console()
    chosen = plan(Request(**options, launches=1))
    say_what_is_missing(console, chosen.banner, chosen.skipped)
    sound = True
    with Progress(console, chosen) as progress:
        proven = [records for _, records in run_proof(chosen, IMAGES, STEPS, progress)]
    for records in proven:
        for task in by_task(records):
            console.print(drawn(parity_table(task)))
        for record in records:
            sound = sound and record.failure is None and record.proof is not None and record.proof.comparable
            if record.failure:
                console.print(f"{record.case} died: {record.failure.reason}", style="red", markup=False)
    return 0 if sound else 1
