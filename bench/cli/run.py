"""`bench run`: prove, measure, print and store a comparison of the frameworks."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from bench.cli.option_groups import (
    CASE,
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
from bench.cli.target_options import TargetChoice
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.measure.rendezvous import Rendezvous
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


@Parameter(name="*", group=CASE)
@dataclass(frozen=True)
class NodeOptions:
    """Which machines train a case together."""

    rendezvous: Annotated[
        str | None,
        Parameter(metavar="HOST:PORT", help="Where node 0 listens and the other nodes meet it; see --nodes."),
    ] = None
    nodes: Annotated[
        int | None,
        make_number_parameter(2),
        Parameter(help="Number of machines that train a case together; --devices is the number of all their devices."),
    ] = None
    node_rank: Annotated[
        int | None,
        make_number_parameter(0),
        Parameter(help="The number of this machine, from 0; node 0 measures, and the others follow it."),
    ] = None
    rendezvous_timeout: Annotated[
        Seconds, Parameter(help="Time that the other nodes may take to come, as `90s` or `5m` (the default).")
    ] = 300.0


def run(
    *pytest_arguments: Annotated[
        str, Parameter(group=OPTIONS, help="After `--`: options of pytest for --target, as `-- -p my_plugin`.")
    ],
    resume: Annotated[
        str | None, Run, Parameter(help="Finish this interrupted run, with the options that it had.")
    ] = None,
    strict: Annotated[bool, Parameter(group=OPTIONS, help="Exit with status 1 if there is a warning.")] = False,
    task: TaskOptions = TaskOptions(),
    target: TargetChoice = TargetChoice(),
    case: SpreadCaseOptions = SpreadCaseOptions(),
    nodes: NodeOptions = NodeOptions(),
    data: CachingDataOptions = CachingDataOptions(),
    effort: RunEffort = RunEffort(),
    relative_to: Annotated[str, Reference, Parameter(show_default=True)] = "pytorch",
    output: ReportOptions = ReportOptions(),
    progress: ProgressOptions = ProgressOptions(),
) -> int:
    """Compare the frameworks on the same fine-tune, or tests of your own.

    It proves that they train the same, measures them side by side, prints a verdict and stores everything in --results.
    """
    if target.target:
        return compare_targets(
            target,
            pytest_arguments,
            make_request(case, effort, output, suite=task.suite),
            strict=strict,
            wait=effort.wait,
            progress=progress,
            full=output.full,
        )
    meeting = _parse_rendezvous(nodes)
    place = {"nodes": meeting.nodes, "host": meeting.host} if meeting else {}
    request = make_request(task, case, data, effort, output, relative_to=relative_to, **place)
    if meeting:
        if not any(number > 1 for number in case.devices):
            raise UserError(
                f"--rendezvous {meeting.address}: say with --devices how many devices the nodes have in all"
            )
        if meeting.node:
            return _follow(request, meeting, effort.wait)
    return run_comparison(
        request,
        strict=strict,
        wait=effort.wait,
        resume_run=resume,
        progress=progress,
        full=output.full,
        rendezvous=meeting,
    )


def _parse_rendezvous(options: NodeOptions) -> Rendezvous | None:
    """The rendezvous of the options; None without one.

    Raises:
        UserError: an option is missing or wrong.
    """
    given = {"--rendezvous": options.rendezvous, "--nodes": options.nodes, "--node-rank": options.node_rank}
    missing = [name for name, value in given.items() if value is None]
    if len(missing) == len(given):
        return None
    if missing:
        raise UserError(f"--rendezvous, --nodes and --node-rank belong together: give {', '.join(missing)}, too")
    from bench.measure.rendezvous import Rendezvous

    host, _, port = str(options.rendezvous).rpartition(":")
    if not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise UserError(f"--rendezvous {options.rendezvous}: give HOST:PORT, as node0.example.org:29500")
    assert options.nodes is not None
    assert options.node_rank is not None
    meeting = Rendezvous(host.strip("[]"), int(port), options.nodes, options.node_rank, options.rendezvous_timeout)
    meeting.check()
    return meeting


def _follow(request: Request, meeting: Rendezvous, wait: bool) -> int:
    """Follow node 0 of a run; returns the exit status: 0, or 130 after Ctrl-C."""
    from bench.measure.follower import follow
    from bench.measure.machine_lock import hold_lock
    from bench.measure.stop_signals import StopSignals
    from bench.plan.plan import make_plan

    console = Console()
    say = partial(console.print, markup=False, highlight=False, soft_wrap=True)
    with hold_lock("bench run", wait, say), StopSignals():
        plan = make_plan(request)
        say(f"Node {meeting.node} of {meeting.nodes} follows {meeting.address}.")
        try:
            follow(meeting, plan, say)
        except KeyboardInterrupt:
            return 130
    say("The run is over: its results are on node 0.")
    return 0


def run_comparison(
    request: Request,
    *,
    strict: bool,
    wait: bool,
    resume_run: str | None,
    progress: ProgressOptions = ProgressOptions(),
    full: bool = False,
    rendezvous: Rendezvous | None = None,
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
            rendezvous=rendezvous,
        )
    return 130 if outcome.stopped else _choose_exit_status(console, outcome.records, strict)


def compare_targets(
    choice: TargetChoice,
    pytest_arguments: tuple[str, ...],
    request: Request,
    *,
    strict: bool,
    wait: bool,
    progress: ProgressOptions,
    full: bool,
) -> int:
    """Compare tests; returns the exit status, see `bench.head_to_head.target_run.run_targets`.

    Raises:
        UserError: the options have a mistake, or a test cannot be measured.
    """
    from bench.head_to_head.target_run import TargetOptions, TargetPrinting, run_targets
    from bench.parity.output_comparison import OUTPUT_TOLERANCE
    from bench.report.live.json_events import JsonEvents, report_errors

    tolerance = OUTPUT_TOLERANCE if choice.same_output_tolerance is None else choice.same_output_tolerance
    options = TargetOptions(choice.target, pytest_arguments, tolerance if choice.same_output else None)
    events = JsonEvents("run") if progress.json else None
    with report_errors(events):
        return run_targets(
            options,
            request,
            TargetPrinting(Console(stderr=progress.json), progress.quiet, full, events),
            command=sys.argv[1:],
            wait=wait,
            strict=strict,
        )


def _choose_exit_status(console: Console, records: Sequence[Record], strict: bool) -> int:
    names = sorted({warning.name for record in records for warning in record.warnings})
    if strict and names:
        console.print(f"Strict: {', '.join(names)}.", style="red", markup=False)
    return 1 if any(record.failure for record in records) or (strict and names) else 0
