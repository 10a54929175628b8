"""The run of `bench profile`: records some training steps of one case with its framework's profiler."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from backends.task import Variant
from backends.values import Event
from bench.analysis.launches import group_by_task
from bench.analysis.profiler_trace import Operation, sum_up_operations, to_chrome_trace
from bench.errors import UserError
from bench.machine.load import read_counters, summarise_conditions
from bench.measure import conductor, record_builder
from bench.measure.case_job import format_case_id, make_case_job, write_images
from bench.measure.machine_lock import hold_lock
from bench.measure.scratch_folder import make_scratch_folder
from bench.plan.plan import Plan, make_plan
from bench.plan.prepared_task import PreparedTask
from bench.plan.request import Request
from bench.records import store
from bench.records.record import Record
from bench.report.exporters import Report
from bench.report.live.view_choice import open_view
from bench.report.tables.table import Cell, Column, Table
from bench.report.tables.warning_notes import list_warning_notes
from bench.report.terminal import print_missing, print_tables
from bench.worker.step_profile import EVENTS_FILE

#: At most this many operations are shown.
MAX_OPERATIONS = 20
#: Characters of an operation's name: with more, the figures do not fit in a terminal of 80 columns.
MAX_NAME_LENGTH = 36
#: The folder of traces, in the folder of results.
FOLDER = "profiles"


def profile_case(request: Request, steps: int, output: Path | None, wait: bool) -> int:
    """Print the operations that take most time, and write the trace. The exit status is 0; 1 if the worker died.

    Args:
        request: of one case.
        steps: training steps to profile.
        output: the trace's file; None for one in the folder of results.
        wait: wait for another measurement on this machine to end.

    Raises:
        UserError: the request has a mistake; nothing was profiled.
    """
    console = Console()
    plan = make_plan(request)
    prepared, backend, variant = _get_only_case(plan)
    print_missing(console, plan.banner, plan.skipped, plan.threads_note)
    path = _choose_trace_file(output, request.results, format_case_id(prepared, backend, variant))
    with hold_lock("bench profile", wait, console.print):
        events, record = _record_events(console, plan, prepared, backend, variant, steps)
    if events is None:
        return 1
    title = f"{backend}/{variant.name}, {prepared.task.name}: {steps} steps"
    tables = _build_tables(title, sum_up_operations(events), steps)
    notes = [note for task in group_by_task([record]) for note in list_warning_notes(task)]
    tables[-1:] = [replace(table, notes=(*table.notes, *notes)) for table in tables[-1:]]
    print_tables(Report((), tables), console)
    text = json.dumps(to_chrome_trace(events)).encode()
    try:
        store.write_bytes(path, gzip.compress(text) if path.suffix == ".gz" else text)
    except UserError as error:
        console.print(f"warning: {error}", style="yellow", markup=False, soft_wrap=True)
    else:
        console.print(f"Trace: {path}: open it at ui.perfetto.dev", soft_wrap=True, markup=False, highlight=False)
    return 0


def _get_only_case(plan: Plan) -> tuple[PreparedTask, str, Variant]:
    """Get the one case of a plan.

    Raises:
        UserError: the plan has several tasks or cases.
    """
    if len(plan.tasks) > 1:
        raise UserError(f"a profile has one task, not {len(plan.tasks)}: name one with --task")
    cases = plan.cases(plan.tasks[0])
    if len(cases) != 1:
        names = ", ".join(f"{backend}/{variant.name}" for backend, variant in cases)
        raise UserError(f"a profile has one case, not {names}: name one variant")
    return plan.tasks[0], *cases[0]


def _choose_trace_file(output: Path | None, results: Path, case: str) -> Path:
    """Choose the trace's file; the folder of results is made.

    Raises:
        UserError: the file cannot be there, or has another ending.
    """
    if output is not None:
        if not output.name.endswith((".json", ".json.gz")):
            raise UserError(f"--output {output}: give a file that ends in .json.gz, or in .json")
        if not output.parent.is_dir():
            raise UserError(f"--output {output}: its folder does not exist: make it, or choose another")
        store.check_writable(output)
        return output
    folder = results / FOLDER
    store.make_folder(folder)
    file = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{case}.json.gz"
    store.check_writable(file)
    return file


def _record_events(
    console: Console, plan: Plan, prepared: PreparedTask, backend: str, variant: Variant, steps: int
) -> tuple[list[Event] | None, Record]:
    """Record the profiler's events, None if the worker died, which the progress has shown; and the launch's record."""
    one_launch = replace(plan, suite=plan.suite.model_copy(update={"launches": 1}))
    with make_scratch_folder() as folder, open_view(console, one_launch, ()) as progress:
        data = write_images(prepared.dataset, folder)
        job = make_case_job(prepared, backend, variant, data, folder, profile_steps=steps, cache_limit=plan.cache_limit)
        progress.start_launch(prepared, 1, [job])
        started, before = datetime.now(UTC), read_counters()
        (outcome,) = conductor.run_launch([job], 0.0, random.Random(), progress).outcomes
        around = summarise_conditions([(before, read_counters())], None, 0)  # a GPU is idle again by now
        case_launch = record_builder.CaseLaunch(outcome, prepared, around, 1, started)
        record = record_builder.build_speed_record(case_launch, plan.banner)
        if outcome.failure:
            return None, record
        return [Event(*event) for event in json.loads((job.folder / EVENTS_FILE).read_text())], record


def _build_tables(title: str, operations: Sequence[Operation], steps: int) -> list[Table]:
    """Build a table of the top operations of accelerators, if there are any, and one of the host."""
    tables = []
    for on_device, place in ((True, "accelerator"), (False, "host")):
        of_place = [one for one in operations if one.on_device == on_device]
        total = sum(one.own_us for one in of_place)
        rows = [
            (
                Cell(one.name if len(one.name) <= MAX_NAME_LENGTH else f"{one.name[: MAX_NAME_LENGTH - 1]}…"),
                Cell(f"{one.calls:,}"),
                Cell(f"{one.total_us / 1e3:,.2f}"),
                Cell(f"{one.own_us / 1e3:,.2f}"),
                Cell(f"{one.own_us / 1e3 / steps:,.3f}"),
                Cell(f"{100 * one.own_us / total:.1f} %" if total else "–"),
            )
            for one in of_place[:MAX_OPERATIONS]
        ]
        if rows:
            tables.append(
                Table(
                    f"{title}, {place}",
                    (
                        Column("operation", figures=False),
                        Column("calls"),
                        Column("total ms"),
                        Column("own ms"),
                        Column("own ms a step"),
                        Column("share"),
                    ),
                    tuple(rows),
                    (
                        f"the first {len(rows)} of {len(of_place)} operations; own: without the operations that they "
                        "call; share: of the own time of all threads, with waiting if the profiler records it",
                        "a profiler slows steps down: do not compare these times with those of `bench run`",
                    ),
                )
            )
    return tables
