"""The profile of one case: its training steps under its framework's own profiler."""

from __future__ import annotations

import gzip
import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from backends.task import Variant
from backends.values import Event
from bench.analysis.profiler_trace import Operation, sum_up_operations, to_chrome_trace
from bench.errors import UserError
from bench.measure import conductor
from bench.measure.case_job import format_case_id, make_case_job, write_images
from bench.measure.machine_lock import hold_lock
from bench.measure.progress import Progress
from bench.plan.plan import Plan, make_plan
from bench.plan.prepared_task import PreparedTask
from bench.plan.request import Request
from bench.records import store
from bench.report.exporters import Report
from bench.report.tables.table import Cell, Column, Table
from bench.report.terminal import print_missing, print_tables
from bench.worker.step_profile import EVENTS_FILE

#: Operations that are shown.
SHOWN = 20
#: Characters of a name: with more, a terminal of 80 columns has no room for the figures.
NAME = 36
#: Where traces lie in the folder of results.
FOLDER = "profiles"


def profile_case(request: Request, steps: int, output: Path | None, wait: bool) -> int:
    """Print the top operations and write the trace; the exit status is 0, or 1 where the worker died.

    Args:
        request: of one case.
        output: of the trace; in the folder of results where it is None.

    Raises:
        UserError: a mistake of the user's, before anything was started.
    """

    console = Console()
    chosen = make_plan(request)
    prepared, backend, variant = _one(chosen)
    print_missing(console, chosen.banner, chosen.skipped)
    path = _path(output, request.results, format_case_id(prepared, backend, variant))
    with hold_lock("bench profile", wait, console.print):
        events = _events(console, chosen, prepared, backend, variant, steps)
    if events is None:
        return 1
    title = f"{backend}/{variant.name}, {prepared.task.name}: {steps} steps"
    print_tables(Report((), _tables(title, sum_up_operations(events), steps)), console)
    text = json.dumps(to_chrome_trace(events)).encode()
    store.write_bytes(path, gzip.compress(text) if path.suffix == ".gz" else text)
    console.print(f"Trace: {path}: open it at ui.perfetto.dev", soft_wrap=True, markup=False, highlight=False)
    return 0


def _one(chosen: Plan) -> tuple[PreparedTask, str, Variant]:
    """The one case that there is.

    Raises:
        UserError: there are several tasks or variants.
    """
    if len(chosen.tasks) > 1:
        raise UserError(f"a profile is of one task, and there are {len(chosen.tasks)}: name one with --task")
    cases = chosen.cases(chosen.tasks[0])
    if len(cases) != 1:
        names = ", ".join(f"{backend}/{variant.name}" for backend, variant in cases)
        raise UserError(f"a profile is of one case, and these are {names}: name one variant")
    return chosen.tasks[0], *cases[0]


def _path(output: Path | None, results: Path, case: str) -> Path:
    """Where the trace goes; a folder of results is made.

    Raises:
        UserError: it cannot lie there.
    """

    if output is not None:
        if not output.name.endswith((".json", ".json.gz")):
            raise UserError(f"--output {output}: give a file that ends in .json.gz, or in .json")
        if not output.parent.is_dir():
            raise UserError(f"--output {output}: its folder does not exist: make it, or choose another")
        return output
    folder = results / FOLDER
    store.make_folder(folder)
    return folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{case}.json.gz"


def _events(
    console: Console, chosen: Plan, prepared: PreparedTask, backend: str, variant: Variant, steps: int
) -> list[Event] | None:
    """What the profiler saw; None where the worker died, which was told."""

    alone_ = replace(chosen, suite=chosen.suite.model_copy(update={"launches": 1}))
    with tempfile.TemporaryDirectory(prefix="head-to-head-") as name, Progress(console, alone_, ()) as progress:
        folder = Path(name)
        data = write_images(prepared.dataset, folder)
        one = make_case_job(
            prepared, backend, variant, data, folder, profile_steps=steps, cache_limit=chosen.cache_limit
        )
        progress.start_launch(prepared, 1, [one])
        (outcome,) = conductor.run_launch([one], 0.0, random.Random(), progress).outcomes
        if outcome.failure:
            return None
        return [Event(*event) for event in json.loads((one.folder / EVENTS_FILE).read_text())]


def _tables(title: str, found: Sequence[Operation], steps: int) -> list[Table]:
    """The top operations of accelerators, if there are any, and of the host."""

    made = []
    for on_device, where in ((True, "accelerator"), (False, "host")):
        of_place = [one for one in found if one.on_device == on_device]
        whole = sum(one.own_us for one in of_place)
        rows = [
            (
                Cell(one.name if len(one.name) <= NAME else f"{one.name[: NAME - 1]}…"),
                Cell(f"{one.calls:,}"),
                Cell(f"{one.total_us / 1e3:,.2f}"),
                Cell(f"{one.own_us / 1e3:,.2f}"),
                Cell(f"{one.own_us / 1e3 / steps:,.3f}"),
                Cell(f"{100 * one.own_us / whole:.1f} %" if whole else "–"),
            )
            for one in of_place[:SHOWN]
        ]
        if rows:
            made.append(
                Table(
                    f"{title}, {where}",
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
                        f"call; share: of all own time, over all threads, waiting included where the profiler sees it",
                        "a profiler slows a step down: these are not the figures of a measurement",
                    ),
                )
            )
    return made
