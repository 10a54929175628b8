"""`bench run`: prove, measure, print and store a comparison of the frameworks."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from bench.cli.option_groups import (
    EFFORT,
    OPTIONS,
    CachingDataOptions,
    CaseOptions,
    EffortOptions,
    OutputOptions,
    Reference,
    Run,
    Seconds,
    Share,
    TaskOptions,
    make_number_parameter,
    make_request,
)
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.plan.plan import Plan
    from bench.plan.request import Request
    from bench.records.record import Record
    from bench.report.exporters import Report


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
    case: CaseOptions = CaseOptions(),
    data: CachingDataOptions = CachingDataOptions(),
    effort: RunEffort = RunEffort(),
    relative_to: Annotated[str, Reference, Parameter(show_default=True)] = "pytorch",
    output: OutputOptions = OutputOptions(),
) -> int:
    """Compare the frameworks on the same fine-tune.

    It proves that they train the same, measures them side by side, prints tables and stores everything in --results.
    """
    request = make_request(task, case, data, effort, output, relative_to=relative_to)
    return run_comparison(request, strict=strict, wait=effort.wait, resume_run=resume)


def run_comparison(request: Request, *, strict: bool, wait: bool, resume_run: str | None) -> int:
    """Run a comparison, or what is left of an interrupted one.

    The exit status is 0; 1 if a worker died, or with `strict` if there is a warning; 130 after Ctrl-C.

    Raises:
        UserError: the request has a mistake, or the run cannot be resumed; nothing was measured.
    """
    from bench.machine.environment import describe_environment
    from bench.measure import resume
    from bench.measure.machine_lock import hold_lock
    from bench.plan.plan import make_plan
    from bench.records import store
    from bench.report import exporters
    from bench.report.terminal import print_problem

    console = Console()
    with hold_lock("bench run", wait, console.print):
        about: dict[str, Any]
        say = partial(print_problem, console)
        if resume_run is None:
            plan = make_plan(request)
            about = describe_environment(plan.default.threads, say)
            about["run"] = _describe_run(plan, about)
            run = store.create_run(request.results, plan.suite.name, datetime.now(UTC))
            resume.write_request(run, request)
            exporters.write_environment(run, about, ())
        else:
            run = store.find_run(request.results, resume_run)
            request = replace(resume.read_request(run), results=request.results)
            plan = resume.plan_remaining(run, request, describe_environment())
            about = describe_environment(plan.default.threads, say)
            store.check_writable(run / store.RECORDS / "record")
            for problem in store.read_records(run)[1]:
                console.print(f"{problem}: this launch is measured again", style="yellow", markup=False, soft_wrap=True)
            about["run"] = plan.done[0].about["run"] if plan.done else _describe_run(plan, about)
        return _measure(console, run, plan, about, strict)


def _measure(console: Console, run: Path, plan: Plan, about: dict[str, Any], strict: bool) -> int:
    from bench.analysis import warnings
    from bench.measure import resume
    from bench.measure.progress import Progress
    from bench.measure.run import measure_launches
    from bench.report import exporters
    from bench.report.tables import build_tables
    from bench.report.terminal import print_missing, print_tables

    _print_plan(console, plan)
    records: list[Record] = list(plan.done)
    stopped: KeyboardInterrupt | UserError | None = None
    began = time.monotonic()

    def is_enough(of_task: Sequence[Record]) -> bool:
        time_is_over = plan.max_time is not None and time.monotonic() - began > plan.max_time
        return time_is_over or not _is_too_wide(plan, of_task)

    try:
        with Progress(console, plan) as progress:
            for launch in measure_launches(plan, run, about, progress, is_enough):
                records += launch
    except (KeyboardInterrupt, UserError) as error:  # what is finished is shown, whatever ended the run
        stopped = error
    if records:
        # In the order of `store.read_records`.
        records = warnings.add_run_warnings(sorted(records, key=lambda record: (record.case, record.launch)))
        report = exporters.Report(records, build_tables(records, plan.relative_to, plan.skipped, plan.banner))
        _write_files(console, run, report)
        print_tables(report, console)
    print_missing(console, plan.banner, {})
    if stopped:
        done = f"{len(records)} finished launches are kept in {run}" if records else "nothing had finished"
        console.print(f"Stopped: {done}. Resume with:", style="red", markup=False, soft_wrap=True)
        command = resume.format_command("run", run)
        console.print(command, markup=False, highlight=False, soft_wrap=True)
        if isinstance(stopped, UserError):
            raise stopped
        return 130
    console.print(f"Results: {run}", soft_wrap=True, markup=False)
    return _choose_exit_status(console, records, strict)


def _write_files(console: Console, run: Path, report: Report) -> None:
    """Write the records with the warnings of the run, and the report; a file that cannot be written is a line."""
    from bench.records import store
    from bench.report import exporters

    try:
        try:
            for record in report.records:
                store.write_record(run, record)
        finally:
            exporters.write_report(run, report)
    except UserError as error:
        console.print(f"warning: {error}", style="yellow", markup=False, soft_wrap=True)


def _is_too_wide(plan: Plan, records: Sequence[Record]) -> bool:
    """Whether the interval of a `pipeline` ratio is wider than `--until` allows."""
    from bench.analysis.launches import find_widest_half_width, group_by_task

    if plan.until is None:
        return False
    half_widths = (find_widest_half_width(task, plan.relative_to) for task in group_by_task(records))
    return any(width > plan.until for width in half_widths if width is not None)


def _choose_exit_status(console: Console, records: Sequence[Record], strict: bool) -> int:
    names = sorted({warning.name for record in records for warning in record.warnings})
    if strict and names:
        console.print(f"Strict: {', '.join(names)}.", style="red", markup=False)
    return 1 if any(record.failure for record in records) or (strict and names) else 0


def _describe_run(plan: Plan, about: Mapping[str, Any]) -> dict[str, Any]:
    """Describe the run for its records: the command, the suite, the tuned variants and where data came from."""
    from bench.machine.environment import make_fingerprint
    from bench.records.private_paths import shorten_all, shorten_command, shorten_source

    versions = make_fingerprint(about)["versions"]
    return {
        "command": shorten_command(sys.argv[1:]),
        "suite": plan.suite.model_dump(mode="json"),
        "skipped": shorten_all(plan.skipped),
        "banner": shorten_all(plan.banner),
        "relative_to": plan.relative_to,
        "interleaved": not plan.isolated,
        "until": plan.until,
        "threads": plan.default.threads,
        "tuned": {f"{backend} {task}": found.describe(versions) for (backend, task), found in plan.tuned.items()},
        "checkpoints": {task.task.name: shorten_source(task.checkpoint.source) for task in plan.tasks},
        "datasets": {task.task.name: shorten_source(task.dataset.source) for task in plan.tasks},
    }


def _print_plan(console: Console, plan: Plan) -> None:
    from bench.report.terminal import print_missing

    print_missing(console, plan.banner, plan.skipped, plan.threads_note)
    if plan.done:
        console.print(f"{len(plan.done)} launches of cases are done already.", markup=False)
