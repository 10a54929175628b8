"""`bench fit`: find the largest batch that fits in memory, for each case."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from bench.cli.option_groups import EFFORT, CaseOptions, DataOptions, TaskOptions, WaitOption, make_request
from bench.cli.option_values import make_converter
from bench.plan import amounts

if TYPE_CHECKING:
    from bench.plan.request import Request


@Parameter(name="*", group=EFFORT)
@dataclass(frozen=True)
class MemoryOption(WaitOption):
    """How much memory a case may take."""

    memory: Annotated[
        int | None,
        Parameter(
            converter=make_converter(amounts.parse_size),
            allow_leading_hyphen=True,
            metavar="SIZE",
            help="Host memory that a case may take, as `8GB`; 90 % of what is free by default.",
        ),
    ] = None


def fit(
    *,
    task: TaskOptions = TaskOptions(),
    case: CaseOptions = CaseOptions(),
    data: DataOptions = DataOptions(),
    effort: MemoryOption = MemoryOption(),
) -> int:
    """Find the largest batch that fits in memory, for each case.

    Batch sizes are tried, each in a process of its own that makes some training steps, beginning with the task's own.
    """
    return show_largest_batches(make_request(task, case, data), effort.memory, effort.wait)


def show_largest_batches(request: Request, memory: int | None, wait: bool) -> int:
    """Print a line for each trial, and a table for each task.

    The exit status is 0; 1 if no batch fits a case, or one failed for another reason.

    Args:
        request: of the cases.
        memory: bytes of host memory that a case may take; None for a share of what is available.
        wait: wait for another measurement on this machine to end.

    Raises:
        UserError: the request has a mistake; nothing was tried.
    """
    from rich.console import Console

    from bench.fit.fit_run import CaseFit, find_largest_batches
    from bench.fit.fit_table import build_table, describe_trial
    from bench.measure.machine_lock import hold_lock
    from bench.plan.plan import make_plan
    from bench.report.live.silent_progress import SilentProgress
    from bench.report.terminal import print_missing, render_table

    console = Console()
    say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    plan = make_plan(request)
    print_missing(console, plan.banner, plan.skipped, plan.threads_note)
    fits: list[CaseFit] = []
    try:
        with hold_lock("bench fit", wait, say):
            find_largest_batches(
                plan,
                memory,
                fits,
                SilentProgress(say, deaths=False),
                lambda case, trial: say(describe_trial(case, trial)),
            )
    finally:  # what is known is shown when the search is interrupted, too
        for prepared in plan.tasks:
            if own := [one for one in fits if one.prepared is prepared]:
                console.print(render_table(build_table(own)))
    return 0 if fits and all(one.bounds[0] and not one.failure for one in fits) else 1
