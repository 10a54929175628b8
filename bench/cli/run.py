"""`bench run`: measure, show, store."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from rich.console import Console

from bench.cli import completers
from bench.cli.option_groups import (
    EFFORT,
    OWN,
    CachingDataOptions,
    CaseOptions,
    EffortOptions,
    OutputOptions,
    Reference,
    Seconds,
    Share,
    TaskOptions,
    numeric,
    request,
)

if TYPE_CHECKING:
    from bench.plan.plan import Plan
    from bench.plan.request import Request
    from bench.records.record import Record


@Parameter(name="*", group=EFFORT)
@dataclass(frozen=True)
class RunEffort(EffortOptions):
    """How thoroughly a run measures."""

    until: Annotated[
        Share | None,
        Parameter(help="Add launches until the interval of every ratio reaches no further than this, as `2%`."),
    ] = None
    max_time: Annotated[
        Seconds | None, Parameter(help="Time after which `--until` adds no launch: `90s`, `10m` or `1h`.")
    ] = None
    seeds: Annotated[
        int, numeric(1), Parameter(show_default=True, help="Fine-tunes of each case, each from a seed of its own.")
    ] = 1
    isolated: Annotated[bool, Parameter(help="Run one worker at a time, where the memory cannot hold all of them.")] = (
        False
    )


def run(
    *,
    resume: Annotated[
        str | None,
        Parameter(group=OWN, metavar="RUN", completer=completers.runs, help="Finish this run, with its own options."),
    ] = None,
    strict: Annotated[bool, Parameter(group=OWN, help="End with exit status 1 if there is a warning.")] = False,
    task: TaskOptions = TaskOptions(),
    case: CaseOptions = CaseOptions(),
    data: CachingDataOptions = CachingDataOptions(),
    effort: RunEffort = RunEffort(),
    relative_to: Annotated[str, Reference, Parameter(show_default=True)] = "pytorch",
    output: OutputOptions = OutputOptions(),
) -> int:
    """Compare the frameworks on one fine-tune.

    It proves that they run the same fine-tune, measures them side by side, prints the tables and stores them.
    """
    asked = request(task, case, data, effort, output, relative_to=relative_to)
    return compare(asked, strict=strict, wait=effort.wait, resume_run=resume)


def compare(request: Request, *, strict: bool, wait: bool, resume_run: str | None) -> int:
    """Run the comparison, or what is left of one.

    The exit status is 0; 1 where a worker died, or under `strict` where there is a warning; 130 where it was stopped.

    Raises:
        UserError: a mistake of the user's, before anything was started.
    """
    from bench.machine.environment import describe_environment
    from bench.measure import resume
    from bench.measure.machine_lock import hold_lock
    from bench.plan.plan import make_plan
    from bench.records import store
    from bench.report import exporters

    console = Console()
    with hold_lock("bench run", wait, console.print):
        about: dict[str, Any] = describe_environment()
        if resume_run is None:
            chosen = make_plan(request)
            about["run"] = _about(chosen, about)
            run = store.create_run(request.results, chosen.suite.name, datetime.now(UTC))
            resume.write_request(run, request)
            exporters.write_environment(run, about, ())
        else:
            run = store.find_run(request.results, resume_run)
            request = replace(resume.read_request(run), results=request.results)
            chosen = resume.plan_remaining(run, request, about)
            for problem in store.read_records(run)[1]:
                console.print(f"{problem}: its launch is measured again", style="yellow", markup=False, soft_wrap=True)
            about["run"] = chosen.done[0].about["run"] if chosen.done else _about(chosen, about)
        return _measure(console, run, chosen, about, strict)


def _measure(console: Console, run: Path, chosen: Plan, about: dict[str, Any], strict: bool) -> int:
    from bench.analysis import warnings
    from bench.measure.progress import Progress
    from bench.measure.run import measure_launches
    from bench.records import store
    from bench.report import exporters
    from bench.report.tables import build_tables
    from bench.report.terminal import print_missing, print_tables

    _announce(console, chosen)
    records: list[Record] = list(chosen.done)
    stopped = False
    began = time.monotonic()

    def enough(of_task: Sequence[Record]) -> bool:
        late = chosen.max_time is not None and time.monotonic() - began > chosen.max_time
        return late or not _too_wide(chosen, of_task)

    try:
        with Progress(console, chosen) as progress:
            for launch in measure_launches(chosen, run, about, progress, enough):
                records += launch
    except KeyboardInterrupt:
        stopped = True
    if records:
        # In the order in which `store.read` gives them back.
        records = warnings.add_run_warnings(sorted(records, key=lambda record: (record.case, record.launch)))
        for record in records:
            store.write_record(run, record)
        whole = exporters.Report(records, build_tables(records, chosen.relative_to, chosen.skipped, chosen.banner))
        exporters.write_report(run, whole)
        print_tables(whole, console)
    print_missing(console, chosen.banner, {})
    if stopped:
        done = f"{len(records)} finished launches lie in {run}" if records else "nothing had finished"
        console.print(f"Stopped: {done}. Go on with: bench run --resume {run.name}", style="red", markup=False)
        return 130
    console.print(f"Results: {run}", soft_wrap=True, markup=False)
    return _status(console, records, strict)


def _too_wide(chosen: Plan, records: Sequence[Record]) -> bool:
    """Whether the interval of a `pipeline` ratio is wider than `--until` allows."""
    from bench.analysis.launches import find_widest_half_width, group_by_task

    if chosen.until is None:
        return False
    half_widths = (find_widest_half_width(task, chosen.relative_to) for task in group_by_task(records))
    return any(width > chosen.until for width in half_widths if width is not None)


def _status(console: Console, records: Sequence[Record], strict: bool) -> int:
    names = sorted({warning.name for record in records for warning in record.warnings})
    if strict and names:
        console.print(f"Strict: {', '.join(names)}.", style="red", markup=False)
    return 1 if any(record.failure for record in records) or (strict and names) else 0


def _about(chosen: Plan, about: Mapping[str, Any]) -> dict[str, Any]:
    """What every record says of the run, beside the machine's part of it."""
    from bench.machine.environment import make_fingerprint

    versions = make_fingerprint(about)["versions"]
    return {
        "command": shlex.join(sys.argv[1:]),
        "suite": chosen.suite.model_dump(mode="json"),
        "skipped": chosen.skipped,
        "banner": chosen.banner,
        "relative_to": chosen.relative_to,
        "interleaved": not chosen.isolated,
        "until": chosen.until,
        "threads": chosen.default.threads,
        "tuned": {f"{backend} {task}": found.describe(versions) for (backend, task), found in chosen.tuned.items()},
        "checkpoints": {task.task.name: task.checkpoint.source for task in chosen.tasks},
        "datasets": {task.task.name: task.dataset.source for task in chosen.tasks},
    }


def _announce(console: Console, chosen: Plan) -> None:
    from bench.report.terminal import print_missing

    print_missing(console, chosen.banner, chosen.skipped)
    if chosen.done:
        console.print(f"{len(chosen.done)} launches of cases are done already.", markup=False)
