"""`bench run`: measure, show, store."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import report
from bench.analysis import warnings
from bench.analysis.launches import by_task, widest_reach
from bench.machine.environment import environment, fingerprint
from bench.measure import resume
from bench.measure.machine_lock import alone
from bench.measure.progress import Progress
from bench.measure.run import compare as measure_launches
from bench.plan.request import Plan, Request, plan
from bench.records import store
from bench.records.record import Record
from bench.report.tables import tables
from bench.report.terminal import say_what_is_missing, show


def compare(*, strict: bool, wait: bool, resume_run: str | None, **options: Any) -> int:
    """Run the comparison, or what is left of one.

    The exit status is 0; 1 where a worker died, or under `strict` where there is a warning; 130 where it was stopped.

    Raises:
        UserError: a mistake of the user's, before anything was started.
    """
    console = Console()
    request = Request(**options)
    with alone("bench run", wait, console.print):
        about: dict[str, Any] = environment()
        if resume_run is None:
            chosen = plan(request)
            about["run"] = _about(chosen, about)
            run = store.create(request.results, chosen.suite.name, datetime.now(UTC))
            resume.keep(run, request)
            report.write_environment(run, about, ())
        else:
            run = store.find(request.results, resume_run)
            request = replace(resume.asked(run), results=request.results)
            chosen = resume.resumed(run, request, about)
            for problem in store.read(run)[1]:
                console.print(f"{problem}: its launch is measured again", style="yellow", markup=False, soft_wrap=True)
            about["run"] = chosen.done[0].about["run"] if chosen.done else _about(chosen, about)
        return _measure(console, run, chosen, about, strict)


def _measure(console: Console, run: Path, chosen: Plan, about: dict[str, Any], strict: bool) -> int:
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
        records = warnings.of_run(sorted(records, key=lambda record: (record.case, record.launch)))
        for record in records:
            store.write_record(run, record)
        whole = report.Report(records, tables(records, chosen.relative_to, chosen.skipped, chosen.banner))
        report.write(run, whole)
        show(whole, console)
    say_what_is_missing(console, chosen.banner, {})
    if stopped:
        done = f"{len(records)} finished launches lie in {run}" if records else "nothing had finished"
        console.print(f"Stopped: {done}. Go on with: bench run --resume {run.name}", style="red", markup=False)
        return 130
    console.print(f"Results: {run}", soft_wrap=True, markup=False)
    return _status(console, records, strict)


def _too_wide(chosen: Plan, records: Sequence[Record]) -> bool:
    """Whether the interval of a `pipeline` ratio reaches further than `--until` allows."""
    if chosen.until is None:
        return False
    reaches = (widest_reach(task, chosen.relative_to) for task in by_task(records))
    return any(reach > chosen.until for reach in reaches if reach is not None)


def _status(console: Console, records: Sequence[Record], strict: bool) -> int:
    names = sorted({doubt.name for record in records for doubt in record.warnings})
    if strict and names:
        console.print(f"Strict: {', '.join(names)}.", style="red", markup=False)
    return 1 if any(record.failure for record in records) or (strict and names) else 0


def _about(chosen: Plan, about: Mapping[str, Any]) -> dict[str, Any]:
    """What every record says of the run, beside the machine's part of it."""
    versions = fingerprint(about)["versions"]
    return {
        "command": shlex.join(sys.argv[1:]),
        "suite": chosen.suite.model_dump(mode="json"),
        "skipped": chosen.skipped,
        "banner": chosen.banner,
        "relative_to": chosen.relative_to,
        "interleaved": not chosen.isolated,
        "until": chosen.until,
        "threads": chosen.default.threads,
        "tuned": {f"{backend} {task}": found.told(versions) for (backend, task), found in chosen.tuned.items()},
        "checkpoints": {task.task.name: task.checkpoint.source for task in chosen.tasks},
        "datasets": {task.task.name: task.dataset.source for task in chosen.tasks},
    }


def _announce(console: Console, chosen: Plan) -> None:
    say_what_is_missing(console, chosen.banner, chosen.skipped)
    if chosen.done:
        console.print(f"{len(chosen.done)} launches of cases are done already.", markup=False)
