"""`bench parity`: prove that the backends run the same fine-tune, and print the proof in tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console

from bench.cli.option_groups import DataOptions, SpreadCaseOptions, TaskOptions, make_request

if TYPE_CHECKING:
    from bench.plan.request import Request


def parity(
    *,
    task: TaskOptions = TaskOptions(),
    case: SpreadCaseOptions = SpreadCaseOptions(),
    data: DataOptions = DataOptions(),
) -> int:
    """Prove that the backends run the same fine-tune.

    It runs the whole proof with a fine-tune, and measures no speed.
    """
    return prove(make_request(task, case, data, launches=1))


def prove(request: Request) -> int:
    """Print a table for each task. The exit status is 0; 1 if a case failed its proof or a worker died.

    Raises:
        UserError: the request has a mistake; nothing was run.
    """
    from bench.analysis.launches import group_by_task
    from bench.measure.run import plan_proofs, run_proofs
    from bench.plan.plan import make_plan
    from bench.report.live.view_choice import open_view
    from bench.report.tables.parity_table import build_parity_table
    from bench.report.terminal import print_missing, render_table

    console = Console()
    plan = plan_proofs(make_plan(request))
    print_missing(console, plan.banner, plan.skipped, plan.threads_note)
    all_proven = True
    proven = []
    stopped: KeyboardInterrupt | None = None
    try:
        with open_view(console, plan) as progress:
            for _, records in run_proofs(plan, progress):
                proven.append(records)
    except KeyboardInterrupt as interrupt:  # what is proven is shown
        stopped = interrupt
    for records in proven:
        for task in group_by_task(records):
            console.print(render_table(build_parity_table(task)))
        for record in records:
            all_proven = all_proven and record.failure is None and record.proof is not None and record.proof.comparable
            if record.failure:
                console.print(
                    f"{record.backend}/{record.variant.name} died: {record.failure.reason}", style="red", markup=False
                )
    if stopped:
        raise stopped
    return 0 if all_proven else 1
