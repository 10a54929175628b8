"""A sweep, from its options to its tables."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.errors import UserError
from bench.machine.environment import describe_environment
from bench.measure import resume
from bench.measure.machine_lock import hold_lock
from bench.plan.request import Request
from bench.records import store
from bench.report import exporters
from bench.report.terminal import print_missing, render_table
from bench.sweep import sweep_frames, sweep_record
from bench.sweep.grid import Grid, build_grid
from bench.sweep.sweep_launches import CacheSettings, SweepOutput, run_fine_tunes
from bench.sweep.sweep_options import SweepOptions, read_options
from bench.sweep.sweep_progress import SweepProgress
from bench.sweep.sweep_record import SweepRecord
from bench.sweep.sweep_table import build_seeds_table, build_sweep_table
from bench.sweep.swept_fields import parse_axes

#: A row for each epoch of each fine-tune, and a row for each fine-tune.
EPOCHS, SUMMARY = "sweep.csv", "summary.csv"


def run_sweep(
    request: Request,
    *,
    values: Mapping[str, Sequence[str] | None],
    settings: Sequence[str],
    target: float | None,
    recompute: bool,
    wait: bool,
    resume_run: str | None,
) -> int:
    """Run a sweep, or what is left of one.

    The exit status is 0; 1 where a worker died; 130 where it was stopped.

    Raises:
        UserError: a mistake of the user's, before anything was started.
    """

    console = Console()
    if resume_run is None:
        ask = SweepOptions(request, parse_axes(values, settings), target, recompute)
    with hold_lock("bench sweep", wait, console.print):
        about: dict[str, Any] = describe_environment()
        done: list[SweepRecord] = []
        if resume_run is None:
            chosen = build_grid(ask)
            about["run"] = {"command": shlex.join(sys.argv[1:]), "skipped": dict(chosen.skipped)}
            run = store.create_run(ask.request.results, "sweep", datetime.now(UTC), sweep_record.FOLDER)
            ask.write(run)
            exporters.write_environment(run, about, ())
        else:
            run = store.find_run(request.results, resume_run, sweep_record.FOLDER)
            ask = read_options(run, request.results)
            chosen = build_grid(ask)
            done = _resumed(console, run, chosen, about)
        return _measure(console, run, chosen, ask, done)


def _resumed(console: Console, run: Path, chosen: Grid, about: Mapping[str, Any]) -> list[SweepRecord]:
    """What is finished of a sweep, failures not among it; refuses where anything has changed that decides a figure."""

    records, problems = sweep_record.read_records(run)
    for problem in problems:
        console.print(f"{problem}: it is fine-tuned again", style="yellow", markup=False, soft_wrap=True)
    before = resume.read_start_conditions(run)
    if records and not before:
        resume.refuse_changes(run, [f"{exporters.ENVIRONMENT_FILE} cannot be read"])
    found = resume.find_differences(before, {**about, "run": before.get("run", {})}) if before else []
    now = {one.number: one.prepared for one in chosen.combinations}
    for swept in records:
        prepared = now.get(swept.number)
        is_ = (prepared.task.hash, prepared.dataset.fingerprint, prepared.checkpoint.sha256) if prepared else None
        if is_ != (swept.task_hash, swept.dataset_fingerprint, swept.checkpoint_hash):
            found.append(f"combination {swept.number} is of another task, other images or other weights")
    resume.refuse_changes(run, list(dict.fromkeys(found)))
    return [swept for swept in records if swept.failure is None]


def _measure(console: Console, run: Path, chosen: Grid, ask: SweepOptions, done: list[SweepRecord]) -> int:

    _announce(console, chosen, done)
    records = {(swept.number, swept.backend): swept for swept in done}
    stopped = False

    def keep(swept: SweepRecord) -> None:
        sweep_record.write_record(run, swept)
        records[swept.number, swept.backend] = swept
        progress.finished(swept)

    try:
        with SweepProgress(console, chosen, len(done), ask.target) as progress:
            how = CacheSettings(ask.recompute, ask.request.cache_limit)
            run_fine_tunes(chosen, how, SweepOutput(set(records), keep, progress.event))
    except KeyboardInterrupt:
        stopped = True
    in_order = [records[one.number, backend] for one, backend in chosen.fine_tunes if (one.number, backend) in records]
    _show(console, run, chosen.varied, ask.target, in_order)
    if stopped:
        told = f"{len(in_order)} of {len(chosen.fine_tunes)} fine-tunes are finished and lie in {run}"
        console.print(f"Stopped: {told}. Go on with: bench sweep --resume {run.name}", style="red", markup=False)
        return 130
    console.print(f"Results: {run}", soft_wrap=True, markup=False)
    return 1 if any(swept.failure for swept in in_order) else 0


def _announce(console: Console, chosen: Grid, done: Sequence[SweepRecord]) -> None:

    print_missing(console, chosen.banner, chosen.skipped)
    total = len(chosen.fine_tunes)
    so_far = f", {len(done)} are done already" if done else ""
    console.print(
        f"{len(chosen.combinations)} combinations with {', '.join(chosen.backends)}: {total} fine-tunes{so_far}.",
        markup=False,
        soft_wrap=True,
    )


def show_sweep(console: Console, run: Path) -> int:
    """Make the CSV files and the tables of a sweep again from its records; the exit status is 0, or 1 where a record
    could not be read, and then no file is written.

    Raises:
        UserError: none of its records can be read, or it does not say what was asked for.
    """

    records, problems = sweep_record.read_records(run)
    for problem in problems:
        console.print(problem, style="yellow", markup=False, soft_wrap=True)
    if not records:
        raise UserError(f"sweep {run} has no readable record: go on with it by `bench sweep --resume {run.name}`")
    ask = read_options(run, run.parent)
    varied = [name for name in ask.axes if len({getattr(swept.task, name) for swept in records}) > 1]
    _show(console, run, varied, ask.target, records, write=not problems)
    return 1 if problems else 0


def _show(
    console: Console,
    run: Path,
    varied: Sequence[str],
    target: float | None,
    records: Sequence[SweepRecord],
    write: bool = True,
) -> None:
    """Write the CSV files, and print a table for each task."""

    for name, told in (
        (
            (EPOCHS, sweep_frames.build_epoch_frame(records)),
            (SUMMARY, sweep_frames.build_summary_frame(records, target)),
        )
        if write
        else ()
    ):
        store.write_text(run / name, str(told.to_csv(index=False, lineterminator="\n")), finished_in=run)
    for task in dict.fromkeys(swept.task.name for swept in records):
        of_task = [swept for swept in records if swept.task.name == task]
        console.print(render_table(build_sweep_table(of_task, varied, target)))
        if "seed" in varied:
            console.print(render_table(build_seeds_table(of_task, varied, target)))
