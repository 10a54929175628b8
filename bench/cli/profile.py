"""`bench profile`: some training steps of one case under its framework's own profiler."""

from __future__ import annotations

import gzip
import json
import random
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from backends.task import Variant
from backends.values import Event
from bench.analysis.profiler_trace import Operation, chrome, operations
from bench.errors import UserError
from bench.measure import conductor
from bench.measure.machine_lock import alone
from bench.measure.probe_job import job
from bench.measure.progress import Progress
from bench.measure.run import case_id, write_images
from bench.plan.request import Plan, Prepared, Request, plan
from bench.records import store
from bench.report import Report
from bench.report.tables.table import Cell, Column, Table
from bench.report.terminal import say_what_is_missing, show
from bench.worker.step_profile import FILE

#: Operations that are shown.
SHOWN = 20
#: Characters of a name: with more, a terminal of 80 columns has no room for the figures.
NAME = 36
#: Where traces lie in the folder of results.
FOLDER = "profiles"


def profile(
    case: str, steps: int, output: Path | None, wait: bool, variants: Sequence[str] = (), **options: Any
) -> int:
    """Print the top operations and write the trace; the exit status is 0, or 1 where the worker died.

    Args:
        case: `backend` or `backend/variant`.
        output: of the trace; in the folder of results where it is None.

    Raises:
        UserError: a mistake of the user's, before anything was started.
    """
    console = Console()
    backend, _, variant = case.partition("/")
    named = (variant,) if variant else ()
    chosen = plan(Request(**options, backends=(backend,), variants=(*named, *variants)))
    prepared, variant_ = _one(chosen)
    say_what_is_missing(console, chosen.banner, chosen.skipped)
    path = _path(output, options["results"], case_id(prepared, backend, variant_))
    with alone("bench profile", wait, console.print):
        events = _events(console, chosen, prepared, backend, variant_, steps)
    if events is None:
        return 1
    title = f"{backend}/{variant_.name}, {prepared.task.name}: {steps} steps"
    show(Report((), _tables(title, operations(events), steps)), console)
    text = json.dumps(chrome(events)).encode()
    store.write_bytes(path, gzip.compress(text) if path.suffix == ".gz" else text)
    console.print(f"Trace: {path}: open it at ui.perfetto.dev", soft_wrap=True, markup=False, highlight=False)
    return 0


def _one(chosen: Plan) -> tuple[Prepared, Variant]:
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
    return chosen.tasks[0], cases[0][1]


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
    console: Console, chosen: Plan, prepared: Prepared, backend: str, variant: Variant, steps: int
) -> list[Event] | None:
    """What the profiler saw; None where the worker died, which was told."""
    alone_ = replace(chosen, suite=chosen.suite.model_copy(update={"launches": 1}))
    with tempfile.TemporaryDirectory(prefix="head-to-head-") as name, Progress(console, alone_, ()) as progress:
        folder = Path(name)
        data = write_images(prepared.dataset, folder)
        one = job(prepared, backend, variant, data, folder, profile_steps=steps, cache_limit=chosen.cache_limit)
        progress.launch(prepared, 1, [one])
        (outcome,) = conductor.launch([one], 0.0, random.Random(), progress).outcomes
        if outcome.failure:
            return None
        return [Event(*event) for event in json.loads((one.folder / FILE).read_text())]


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
