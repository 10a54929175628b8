"""`bench sweep`: one task over all combinations of some fields' values."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench import report
from bench.errors import UserError
from bench.machine.environment import environment
from bench.measure import resume
from bench.measure.machine_lock import alone
from bench.plan.request import Request
from bench.records import store
from bench.report.terminal import drawn, say_what_is_missing
from bench.sweep import sweep_frames, sweep_record
from bench.sweep.grid import Grid, grid
from bench.sweep.sweep_launches import Ends, Settings
from bench.sweep.sweep_launches import sweep as fine_tune
from bench.sweep.sweep_options import Ask, asked
from bench.sweep.sweep_progress import SweepProgress
from bench.sweep.sweep_record import Swept
from bench.sweep.sweep_table import seeds_table, sweep_table
from bench.sweep.swept_fields import axes

#: A row for each epoch of each fine-tune, and a row for each fine-tune.
EPOCHS, SUMMARY = "sweep.csv", "summary.csv"


def sweep(
    *,
    fields: Mapping[str, Sequence[str] | None],
    settings: Sequence[str],
    target: float | None,
    recompute: bool,
    wait: bool,
    resume_run: str | None,
    **options: Any,
) -> int:
    """Run a sweep, or what is left of one.

    The exit status is 0; 1 where a worker died; 130 where it was stopped.

    Raises:
        UserError: a mistake of the user's, before anything was started.
    """
    console = Console()
    if resume_run is None:
        ask = Ask(Request(**options), axes(fields, settings), target, recompute)
    with alone("bench sweep", wait, console.print):
        about: dict[str, Any] = environment()
        done: list[Swept] = []
        if resume_run is None:
            chosen = grid(ask)
            about["run"] = {"command": shlex.join(sys.argv[1:]), "skipped": dict(chosen.skipped)}
            run = store.create(ask.request.results, "sweep", datetime.now(UTC), sweep_record.FOLDER)
            ask.keep(run)
            report.write_environment(run, about, ())
        else:
            run = store.find(options["results"], resume_run, sweep_record.FOLDER)
            ask = asked(run, options["results"])
            chosen = grid(ask)
            done = _resumed(console, run, chosen, about)
        return _measure(console, run, chosen, ask, done)


def _resumed(console: Console, run: Path, chosen: Grid, about: Mapping[str, Any]) -> list[Swept]:
    """What is finished of a sweep, failures not among it; refuses where anything has changed that decides a figure."""
    records, problems = sweep_record.read(run)
    for problem in problems:
        console.print(f"{problem}: it is fine-tuned again", style="yellow", markup=False, soft_wrap=True)
    before = resume.begun_under(run)
    if records and not before:
        resume.refuse(run, [f"{report.ENVIRONMENT} cannot be read"])
    found = resume.differences(before, {**about, "run": before.get("run", {})}) if before else []
    now = {one.number: one.prepared for one in chosen.combinations}
    for swept in records:
        prepared = now.get(swept.number)
        is_ = (prepared.task.hash, prepared.dataset.fingerprint, prepared.checkpoint.sha256) if prepared else None
        if is_ != (swept.task_hash, swept.dataset_fingerprint, swept.checkpoint_hash):
            found.append(f"combination {swept.number} is of another task, other images or other weights")
    resume.refuse(run, list(dict.fromkeys(found)))
    return [swept for swept in records if swept.failure is None]


def _measure(console: Console, run: Path, chosen: Grid, ask: Ask, done: list[Swept]) -> int:
    _announce(console, chosen, done)
    records = {(swept.number, swept.backend): swept for swept in done}
    stopped = False

    def keep(swept: Swept) -> None:
        sweep_record.write(run, swept)
        records[swept.number, swept.backend] = swept
        progress.finished(swept)

    try:
        with SweepProgress(console, chosen, len(done), ask.target) as progress:
            how = Settings(ask.recompute, ask.request.cache_limit)
            fine_tune(chosen, how, Ends(set(records), keep, progress.event))
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


def _announce(console: Console, chosen: Grid, done: Sequence[Swept]) -> None:
    say_what_is_missing(console, chosen.banner, chosen.skipped)
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
    records, problems = sweep_record.read(run)
    for problem in problems:
        console.print(problem, style="yellow", markup=False, soft_wrap=True)
    if not records:
        raise UserError(f"sweep {run} has no readable record: go on with it by `bench sweep --resume {run.name}`")
    ask = asked(run, run.parent)
    varied = [name for name in ask.axes if len({getattr(swept.task, name) for swept in records}) > 1]
    _show(console, run, varied, ask.target, records, write=not problems)
    return 1 if problems else 0


def _show(
    console: Console,
    run: Path,
    varied: Sequence[str],
    target: float | None,
    records: Sequence[Swept],
    write: bool = True,
) -> None:
    """Write the CSV files, and print a table for each task."""
    for name, told in (
        ((EPOCHS, sweep_frames.epochs(records)), (SUMMARY, sweep_frames.summary(records, target))) if write else ()
    ):
        store.write_text(run / name, str(told.to_csv(index=False, lineterminator="\n")), finished_in=run)
    for task in dict.fromkeys(swept.task.name for swept in records):
        of_task = [swept for swept in records if swept.task.name == task]
        console.print(drawn(sweep_table(of_task, varied, target)))
        if "seed" in varied:
            console.print(drawn(seeds_table(of_task, varied, target)))
