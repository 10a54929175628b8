"""`bench parity`: the whole proof, in tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from bench.cli.option_groups import CaseOptions, DataOptions, TaskOptions, request

if TYPE_CHECKING:
    from bench.plan.request import Request


#: As the proof asks for: 64 images, 50 steps of the task's own batches.
IMAGES, STEPS = 64, 50


def parity(
    *,
    task: TaskOptions = TaskOptions(),
    case: CaseOptions = CaseOptions(),
    data: DataOptions = DataOptions(),
) -> int:
    """Prove that the backends run the same fine-tune, and measure nothing.

    It is the whole proof, with the fine-tune.
    """
    return prove(request(task, case, data, launches=1))


def prove(asked: Request) -> int:
    """Print a table a task; the exit status is 0, or 1 where a case failed its proof or a worker died.

    Raises:
        UserError: a mistake of the user's, before anything was started.
    """
    from bench.analysis.launches import group_by_task
    from bench.measure.progress import Progress
    from bench.measure.run import run_proofs
    from bench.plan.plan import make_plan
    from bench.report.tables.parity_table import build_parity_table
    from bench.report.terminal import print_missing, render_table

    console = Console()
    chosen = make_plan(asked)
    print_missing(console, chosen.banner, chosen.skipped)
    sound = True
    with Progress(console, chosen) as progress:
        proven = [records for _, records in run_proofs(chosen, IMAGES, STEPS, progress)]
    for records in proven:
        for task in group_by_task(records):
            console.print(render_table(build_parity_table(task)))
        for record in records:
            sound = sound and record.failure is None and record.proof is not None and record.proof.comparable
            if record.failure:
                console.print(f"{record.case} died: {record.failure.reason}", style="red", markup=False)
    return 0 if sound else 1
