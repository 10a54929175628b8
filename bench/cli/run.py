"""`bench run`: prove, measure, print and store a comparison of the frameworks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from bench.cli.option_groups import (
    EFFORT,
    OPTIONS,
    CachingDataOptions,
    EffortOptions,
    ProgressOptions,
    Reference,
    ReportOptions,
    Run,
    SpreadCaseOptions,
    TaskOptions,
    make_request,
)
from bench.cli.option_values import Seconds, Share, make_number_parameter

if TYPE_CHECKING:
    from bench.plan.request import Request
    from bench.records.record import Record


@Parameter(name="*", group=EFFORT)
@dataclass(frozen=True)
class RunEffort(EffortOptions):
    """How thoroughly a run measures."""

    until: Annotated[
        Share | None,
        Parameter(help="Add launches until every `pipeline` ratio is known to within this, as `2%`."),
    ] = None
    max_time: Annotated[Seconds | None, Parameter(help="Time limit of --until, as `90s`, `10m` or `1h`.")] = None
    seeds: Annotated[
        int,
        make_number_parameter(1),
        Parameter(show_default=True, help="Fine-tunes of each case, each with another seed."),
    ] = 1
    isolated: Annotated[bool, Parameter(help="Run one worker at a time, if memory cannot hold all.")] = False


def run(
    *,
    resume: Annotated[
        str | None, Run, Parameter(help="Finish this interrupted run, with the options that it had.")
    ] = None,
    strict: Annotated[bool, Parameter(group=OPTIONS, help="Exit with status 1 if there is a warning.")] = False,
    task: TaskOptions = TaskOptions(),
    case: SpreadCaseOptions = SpreadCaseOptions(),
    data: CachingDataOptions = CachingDataOptions(),
    effort: RunEffort = RunEffort(),
    relative_to: Annotated[str, Reference, Parameter(show_default=True)] = "pytorch",
    output: ReportOptions = ReportOptions(),
    progress: ProgressOptions = ProgressOptions(),
) -> int:
    """Compare the frameworks on the same fine-tune.

    It proves that they train the same, measures them side by side, prints a verdict and stores everything in --results.
    """
    request = make_request(task, case, data, effort, output, relative_to=relative_to)
    return run_comparison(
        request, strict=strict, wait=effort.wait, resume_run=resume, progress=progress, full=output.full
    )


def run_comparison(
    request: Request,
    *,
    strict: bool,
    wait: bool,
    resume_run: str | None,
    progress: ProgressOptions = ProgressOptions(),
    full: bool = False,
) -> int:
    """Run a comparison, or what is left of an interrupted one.

    The exit status is 0; 1 if a worker died, or with `strict` if there is a warning; 130 after Ctrl-C.

    Raises:
        UserError: the request has a mistake, or the run cannot be resumed; nothing was measured.
    """
    from bench.head_to_head.whole_run import measure_run
    from bench.report.live.json_events import JsonEvents, report_errors

    console = Console(stderr=progress.json)
    events = JsonEvents("run") if progress.json else None
    with report_errors(events):
        outcome = measure_run(
            request,
            console,
            command=sys.argv[1:],
            wait=wait,
            resume_run=resume_run,
            quiet=progress.quiet,
            full=full,
            events=events,
        )
    return 130 if outcome.stopped else _choose_exit_status(console, outcome.records, strict)


def _choose_exit_status(console: Console, records: Sequence[Record], strict: bool) -> int:
    names = sorted({warning.name for record in records for warning in record.warnings})
    if strict and names:
        console.print(f"Strict: {', '.join(names)}.", style="red", markup=False)
    return 1 if any(record.failure for record in records) or (strict and names) else 0
