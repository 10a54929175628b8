"""A run as a whole: it is planned, proven and measured, and its tables and files are made."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.analysis import warnings
from bench.analysis.launches import find_widest_half_width, group_by_task
from bench.errors import UserError
from bench.machine.environment import describe_environment
from bench.machine.fingerprint import make_fingerprint
from bench.measure import resume
from bench.measure.machine_lock import hold_lock
from bench.measure.rendezvous import STOPPED, FollowedWatcher, Followers, Rendezvous, open_followers
from bench.measure.run import measure_launches
from bench.measure.stop_signals import StopSignals
from bench.measure.worker_groups import explain_groups
from bench.plan.plan import Plan, make_plan
from bench.plan.request import Request
from bench.records import store
from bench.records.private_paths import shorten_all, shorten_command, shorten_source
from bench.records.record import Record
from bench.report import exporters
from bench.report.conclusion import print_conclusion
from bench.report.exporters import Report
from bench.report.live.json_events import JsonEvents
from bench.report.live.json_view import describe_verdict
from bench.report.live.view_choice import open_view
from bench.report.tables import build_tables
from bench.report.terminal import print_missing, print_problem
from bench.report.verdict import build_verdict

#: Why `--resume` does not take a run of several machines: they would have to meet again.
NOT_RESUMED = "cannot be resumed"


@dataclass(frozen=True)
class RunOutcome:
    """What a run has measured.

    Attributes:
        run: the run's folder.
        records: of all launches that finished or died, with the warnings of the run.
        stopped: whether Ctrl-C or a signal ended it.
    """

    run: Path
    records: tuple[Record, ...]
    stopped: bool


def measure_run(
    request: Request,
    console: Console,
    *,
    command: Sequence[str],
    wait: bool = False,
    resume_run: str | None = None,
    quiet: bool = False,
    full: bool = False,
    events: JsonEvents | None = None,
    rendezvous: Rendezvous | None = None,
) -> RunOutcome:
    """Measure a run, or what is left of an interrupted one; progress, verdict and tables are printed.

    Args:
        request: what to measure; of a run that is resumed, only its `results` count.
        console: that everything is printed on.
        command: the command line behind `bench` that asks for this run, as its records contain it.
        wait: whether to wait for another measurement on this machine to end.
        resume_run: the name or folder of the run to finish.
        quiet: whether only the verdict and the run's folder are printed.
        full: whether all tables are printed, and not only one for each task.
        rendezvous: where this machine, as node 0, meets others that train with it.
        events: gets what is to be said, in place of the console: that has problems only.

    Raises:
        UserError: the request has a mistake, or the run cannot be resumed; nothing was measured. Or a record could not
            be written, or another node has ended; what is finished was shown.
    """
    with hold_lock("bench run", wait, console.print):
        about: dict[str, Any]
        say = partial(print_problem, console)
        if resume_run is None:
            plan = make_plan(request)
            about = describe_environment(plan.default.threads, say)
            about["run"] = _describe_run(plan, about, command)
            run = store.create_run(request.results, plan.suite.name, datetime.now(UTC))
            resume.write_request(run, request)
            exporters.write_environment(run, about, ())
        else:
            run = store.find_run(request.results, resume_run)
            request = replace(resume.read_request(run), results=request.results)
            if request.nodes > 1:
                raise UserError(
                    f"run {run.name} trained on {request.nodes} nodes together and {NOT_RESUMED}: start a new run"
                )
            plan = resume.plan_remaining(run, request, describe_environment())
            about = describe_environment(plan.default.threads, say)
            store.check_writable(run / store.RECORDS / "record")
            for problem in store.read_records(run)[1]:
                console.print(f"{problem}: this launch is measured again", style="yellow", markup=False, soft_wrap=True)
            before = plan.done[0].about.get("run") if plan.done else None
            about["run"] = before or _describe_run(plan, about, command)
        with StopSignals() as signals, open_followers(rendezvous, plan) as followers:
            outcome = _measure(console, run, plan, about, _Output(quiet, full, events), signals, followers)
            if outcome.stopped:
                followers.end(STOPPED)
            else:
                followers.check_alive()
            return outcome


@dataclass(frozen=True)
class _Output:
    """What is printed of a run, see `measure_run`."""

    quiet: bool
    full: bool
    events: JsonEvents | None


def _measure(
    console: Console,
    run: Path,
    plan: Plan,
    about: dict[str, Any],
    output: _Output,
    signals: StopSignals,
    followers: Followers,
) -> RunOutcome:
    events = output.events
    notes = Console(quiet=True) if output.quiet or events else console
    _print_plan(notes, plan)
    if events:
        events.emit("started", **_describe_start(run, plan))
    records: list[Record] = list(plan.done)
    stopped: KeyboardInterrupt | UserError | None = None
    began = time.monotonic()

    def is_enough(of_task: Sequence[Record]) -> bool:
        time_is_over = plan.max_time is not None and time.monotonic() - began > plan.max_time
        return time_is_over or not _is_too_wide(plan, of_task)

    try:
        with open_view(notes, plan, events=events) as view:
            for launch in measure_launches(plan, run, about, FollowedWatcher(view, followers), is_enough):
                records += launch
                if launch:  # an interrupted launch may have none
                    view.finish_launch(records)
                signals.check()
        signals.begin_end()
    except (KeyboardInterrupt, UserError) as error:  # what is finished is shown, whatever ended the run
        signals.begin_end()
        stopped = error
    if records:
        # In the order of `store.read_records`.
        records = warnings.add_run_warnings(sorted(records, key=lambda record: (record.case, record.launch)))
        _conclude(console, run, plan, records, output)
    if output.events:
        _emit_end(output.events, run, plan, records, stopped is not None)
    if stopped:
        done = f"{len(records)} finished launches are kept in {run}" if records else "nothing had finished"
        resumable = plan.nodes == 1
        advice = "Resume with:" if resumable else f"A run of several nodes {NOT_RESUMED}."
        console.print(f"Stopped: {done}. {advice}", style="red", markup=False, soft_wrap=True)
        if resumable:
            command = resume.format_command("run", run)
            console.print(command, markup=False, highlight=False, soft_wrap=True)
        if isinstance(stopped, UserError):
            raise stopped
    elif not events:
        console.print(f"Results: {run}", soft_wrap=True, markup=False)
    return RunOutcome(run, tuple(records), stopped is not None)


def _conclude(console: Console, run: Path, plan: Plan, records: Sequence[Record], output: _Output) -> None:
    """Write the files of a run, and print what it has found."""
    tables = build_tables(records, plan.relative_to, plan.skipped, plan.banner)
    report = exporters.Report(records, tables, plan.relative_to)
    _write_files(console, run, report)
    if output.quiet:
        verdict = build_verdict(records, plan.relative_to, plan.banner)
        console.print(verdict.text, markup=False, highlight=False, soft_wrap=True)
    elif not output.events:
        console.print()
        print_conclusion(console, run, report, output.full)


def _describe_start(run: Path, plan: Plan) -> dict[str, Any]:
    """Describe what is to be measured, as fields of an event."""
    return {
        "path": str(run),
        "suite": plan.suite.name,
        "tasks": [
            {
                "task": prepared.task.name,
                "cases": [f"{backend}/{variant.name}" for backend, variant in plan.cases(prepared)],
                "launches": plan.suite.launches,
                "fine_tunes": plan.seeds if prepared.fine_tune else 0,
            }
            for prepared in plan.tasks
        ],
        "relative_to": plan.relative_to,
        "skipped": dict(plan.skipped),
        "banner": plan.banner,
        "launches_done": len(plan.done),
    }


def _emit_end(
    events: JsonEvents,
    run: Path,
    plan: Plan,
    records: Sequence[Record],
    stopped: bool,
) -> None:
    """Write the last events of a run: the warnings that concern all of it, and its end."""
    for record in records:
        for warning in record.warnings:
            events.emit_warning(f"{record.backend}/{record.variant.name}", warning)
    events.emit(
        "finished",
        path=str(run),
        stopped=stopped,
        resume=shlex.split(resume.format_command("run", run)) if stopped and plan.nodes == 1 else None,
        verdict=describe_verdict(build_verdict(records, plan.relative_to, plan.banner)),
    )


def _write_files(console: Console, run: Path, report: Report) -> None:
    """Write the records with the warnings of the run, and the report; a file that cannot be written is a line."""
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
    if plan.until is None:
        return False
    half_widths = (find_widest_half_width(task, plan.relative_to) for task in group_by_task(records))
    return any(width > plan.until for width in half_widths if width is not None)


def _describe_run(plan: Plan, about: Mapping[str, Any], command: Sequence[str]) -> dict[str, Any]:
    """Describe the run for its records: the command, the suite, the tuned variants and where data came from."""
    versions = make_fingerprint(about)["versions"]
    return {
        "command": shorten_command(command),
        "suite": plan.suite.model_dump(mode="json"),
        "skipped": shorten_all(plan.skipped),
        "banner": shorten_all(plan.banner),
        "relative_to": plan.relative_to,
        "interleaved": not plan.isolated and explain_groups(plan) is None,
        "until": plan.until,
        "threads": plan.default.threads,
        "tuned": {f"{backend} {task}": found.describe(versions) for (backend, task), found in plan.tuned.items()},
        "checkpoints": {task.task.name: shorten_source(task.checkpoint.source) for task in plan.tasks},
        "datasets": {task.task.name: shorten_source(task.dataset.source) for task in plan.tasks},
    }


def _print_plan(console: Console, plan: Plan) -> None:
    print_missing(console, plan.banner, plan.skipped, plan.threads_note)
    if groups := explain_groups(plan):
        console.print(groups, markup=False, highlight=False, soft_wrap=True)
    if plan.done:
        console.print(f"{len(plan.done)} launches of cases are done already.", markup=False)
