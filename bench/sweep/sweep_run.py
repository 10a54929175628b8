"""The run of a sweep: from its options to its tables, or what is left of an interrupted one."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from backends import REGISTRY
from bench.errors import UserError
from bench.machine.environment import describe_environment
from bench.measure import resume
from bench.measure.machine_lock import hold_lock
from bench.plan.request import Request
from bench.records import store
from bench.records.private_paths import shorten_all, shorten_command
from bench.report import exporters
from bench.report.html.page import Page
from bench.report.html.result_page import write_or_explain
from bench.report.live.json_events import JsonEvents
from bench.report.terminal import print_missing, print_problem, render_table
from bench.report.terminal_plot import draw_line_plot
from bench.sweep import sweep_frames, sweep_record
from bench.sweep.grid import Grid, build_grid
from bench.sweep.sweep_best import find_best
from bench.sweep.sweep_figures import build_accuracy_plot
from bench.sweep.sweep_launches import CacheSettings, SweepOutput, run_fine_tunes
from bench.sweep.sweep_options import SweepOptions, read_options
from bench.sweep.sweep_page import build_sweep_page
from bench.sweep.sweep_progress import SweepProgress
from bench.sweep.sweep_record import SweepRecord
from bench.sweep.sweep_table import build_seeds_table, build_sweep_table
from bench.sweep.swept_fields import parse_axes

#: The CSV files: a row for each epoch of each fine-tune, and a row for each fine-tune.
EPOCHS_FILE, SUMMARY_FILE = "sweep.csv", "summary.csv"
#: The widest plot: on a wider terminal, its points would be far apart.
MAX_PLOT_WIDTH = 100


def run_sweep(
    request: Request,
    *,
    values: Mapping[str, Sequence[str] | None],
    settings: Sequence[str],
    target: float | None,
    recompute: bool,
    wait: bool,
    resume_run: str | None,
    quiet: bool = False,
    events: JsonEvents | None = None,
) -> int:
    """Run a sweep, or what is left of an interrupted one.

    The exit status is 0; 1 if a worker died; 130 after Ctrl-C.

    Args:
        request: the options that `bench run` has too.
        values: by field of the task, the values to sweep.
        settings: `field=list`, for other fields.
        target: a test accuracy, 0..1; the time to reach it is shown.
        recompute: never train on cached features.
        wait: wait for another measurement on this machine to end.
        resume_run: the name or folder of the sweep to resume.
        quiet: whether only the best of the sweep and its folder are printed.
        events: gets what is to be said; problems are printed on stderr.

    Raises:
        UserError: the options have a mistake, or the sweep cannot be resumed; nothing was measured.
    """
    console = Console(stderr=events is not None)
    notes = Console(quiet=True) if quiet or events else console
    if resume_run is None:
        options = SweepOptions(request, parse_axes(values, settings), target, recompute)
    with hold_lock("bench sweep", wait, console.print):
        done: list[SweepRecord] = []
        if resume_run is None:
            grid = build_grid(options)
            about: dict[str, Any] = describe_environment(grid.default.threads, partial(print_problem, console))
            about["run"] = {
                "command": shorten_command(sys.argv[1:]),
                "skipped": shorten_all(dict(grid.skipped)),
                "threads": grid.default.threads,
            }
            run = store.create_run(options.request.results, "sweep", datetime.now(UTC), sweep_record.FOLDER)
            options.write(run)
            exporters.write_environment(run, about, ())
        else:
            run = store.find_run(request.results, resume_run, sweep_record.FOLDER)
            options = read_options(run, request.results)
            before = resume.read_start_conditions(run)
            grid = build_grid(replace(options, request=resume.keep_threads(options.request, before)))
            store.check_writable(run / sweep_record.FOLDER / "record")
            done = _load_finished(console, run, grid, before)
        return _run_grid(console, notes, events, run, grid, options, done)


def _load_finished(console: Console, run: Path, grid: Grid, before: Mapping[str, Any]) -> list[SweepRecord]:
    """Load the finished fine-tunes of a sweep, without failed ones.

    Args:
        before: the conditions under which it began.

    Raises:
        UserError: something has changed on which a figure depends.
    """
    records, problems = sweep_record.read_records(run)
    for problem in problems:
        console.print(f"{problem}: this fine-tune is repeated", style="yellow", markup=False, soft_wrap=True)
    if records and not before:
        resume.refuse_changes(run, [f"{exporters.ENVIRONMENT_FILE} cannot be read"])
    about = {**describe_environment(grid.default.threads), "run": before.get("run", {})}
    differences = resume.find_differences(before, about) if before else []
    tasks = {one.number: one.prepared for one in grid.combinations}
    for record in records:
        prepared = tasks.get(record.number)
        identity = (prepared.task.hash, prepared.dataset.fingerprint, prepared.checkpoint.sha256) if prepared else None
        if identity != (record.task_hash, record.dataset_fingerprint, record.checkpoint_hash):
            differences.append(f"combination {record.number} has another task, other images or other weights")
    resume.refuse_changes(run, list(dict.fromkeys(differences)))
    return [record for record in records if record.failure is None]


def _run_grid(
    console: Console,
    notes: Console,
    events: JsonEvents | None,
    run: Path,
    grid: Grid,
    options: SweepOptions,
    done: list[SweepRecord],
) -> int:
    _print_plan(notes, grid, done)
    if events:
        events.emit(
            "started",
            path=str(run),
            combinations=len(grid.combinations),
            backends=list(grid.backends),
            fine_tunes=len(grid.fine_tunes),
            fine_tunes_done=len(done),
        )
    records = {(record.number, record.backend): record for record in done}
    stopped: KeyboardInterrupt | UserError | None = None

    def write_record(record: SweepRecord) -> None:
        records[record.number, record.backend] = record
        sweep_record.write_record(run, record)
        progress.finished(record)

    try:
        with SweepProgress(notes, grid, len(done), options.target, events) as progress:
            settings = CacheSettings(options.recompute, options.request.cache_limit)
            run_fine_tunes(grid, settings, SweepOutput(set(records), write_record, progress.event))
    except (KeyboardInterrupt, UserError) as error:  # what is finished is shown, whatever ended the sweep
        stopped = error
    in_order = [records[one.number, backend] for one, backend in grid.fine_tunes if (one.number, backend) in records]
    _write_frames(console, run, options.target, in_order)
    if in_order:
        page = build_sweep_page(in_order, grid.varied, options.target, resume.read_start_conditions(run))
        if problem := write_or_explain(run, page):
            console.print(problem, style="yellow", markup=False, soft_wrap=True)
    _print_tables(notes, console.width, grid.varied, options.target, in_order)
    answers = _list_answers(in_order, grid.varied, options.target)
    if events:
        events.emit("finished", path=str(run), stopped=stopped is not None, answers=answers)
    elif notes.quiet:
        console.print("\n".join(answers), markup=False, highlight=False, soft_wrap=True)
    if stopped:
        finished = f"{len(in_order)} of {len(grid.fine_tunes)} fine-tunes are finished and kept in {run}"
        console.print(f"Stopped: {finished}. Resume with:", style="red", markup=False, soft_wrap=True)
        console.print(resume.format_command("sweep", run), markup=False, highlight=False, soft_wrap=True)
        if isinstance(stopped, UserError):
            raise stopped
        return 130
    if not events:
        console.print(f"Results: {run}", soft_wrap=True, markup=False)
    return 1 if any(record.failure for record in in_order) else 0


def _list_answers(records: Sequence[SweepRecord], varied: Sequence[str], target: float | None) -> list[str]:
    """What the sweep has found, a line for each task."""
    tasks = dict.fromkeys(record.task.name for record in records)
    of_tasks = ([record for record in records if record.task.name == task] for task in tasks)
    return [" ".join(find_best(of_task, varied, target).sentences) for of_task in of_tasks]


def _print_plan(console: Console, grid: Grid, done: Sequence[SweepRecord]) -> None:
    print_missing(console, grid.banner, grid.skipped, grid.threads_note)
    total = len(grid.fine_tunes)
    already_done = f", {len(done)} are done already" if done else ""
    console.print(
        f"{len(grid.combinations)} combinations with {', '.join(grid.backends)}: {total} fine-tunes{already_done}.",
        markup=False,
        soft_wrap=True,
    )


def show_sweep(console: Console, folder: Path) -> int:
    """Print the tables of a sweep again from its records, and write the CSV files that are missing.

    The exit status is 0; 1 if a record could not be read, and then no file is written.

    Raises:
        UserError: none of its records can be read, or its options cannot be read.
    """
    records, problems, varied, target = _read_sweep(folder)
    for problem in problems:
        console.print(problem, style="yellow", markup=False, soft_wrap=True)
    if not problems:
        _write_frames(console, folder, target, records, only_missing=True)
    _print_tables(console, console.width, varied, target, records)
    return 1 if problems else 0


def read_page(folder: Path) -> tuple[Page, list[str]]:
    """Read a sweep and build its page; also return a line for each record that was left out.

    Raises:
        UserError: none of its records can be read, or its options cannot be read.
    """
    records, problems, varied, target = _read_sweep(folder)
    return build_sweep_page(records, varied, target, resume.read_start_conditions(folder)), problems


def _read_sweep(folder: Path) -> tuple[list[SweepRecord], list[str], list[str], float | None]:
    """Read the records, lines about those that were left out, the fields with several values, and the target."""
    records, problems = sweep_record.read_records(folder)
    if not records:
        raise UserError(
            f"sweep {folder} has no readable record: finish it with: {resume.format_command('sweep', folder)}"
        )
    options = read_options(folder, folder.parent)
    varied = [name for name in options.axes if len({getattr(record.task, name) for record in records}) > 1]
    # In the order that the sweep itself prints, which is that of its options.
    ranks = {name: rank for rank, name in enumerate(dict.fromkeys((*options.request.backends, *REGISTRY)))}
    records.sort(key=lambda record: (record.number, ranks.get(record.backend, len(ranks))))
    return records, problems, varied, options.target


def _write_frames(
    console: Console,
    run: Path,
    target: float | None,
    records: Sequence[SweepRecord],
    *,
    only_missing: bool = False,
) -> None:
    """Write the CSV files. One that cannot be written is a line; with `only_missing` one that is there stays."""
    for name, frame in (
        (EPOCHS_FILE, sweep_frames.build_epoch_frame(records)),
        (SUMMARY_FILE, sweep_frames.build_summary_frame(records, target)),
    ):
        if only_missing and (run / name).is_file():
            continue
        try:
            store.write_text(run / name, str(frame.to_csv(index=False, lineterminator="\n")), finished_in=run)
        except UserError as error:
            console.print(f"warning: {error}", style="yellow", markup=False, soft_wrap=True)


def _print_tables(
    notes: Console, width: int, varied: Sequence[str], target: float | None, records: Sequence[SweepRecord]
) -> None:
    """Print a table and a plot, which is at most `width` columns wide, for each task."""
    for task in dict.fromkeys(record.task.name for record in records):
        of_task = [record for record in records if record.task.name == task]
        best = find_best(of_task, varied, target)
        notes.print(render_table(build_sweep_table(of_task, varied, target, best.keys)))
        if "seed" in varied:
            notes.print(render_table(build_seeds_table(of_task, varied, target)))
        if plot := build_accuracy_plot(of_task, varied, target, best.keys):
            notes.print(draw_line_plot(plot, min(width, MAX_PLOT_WIDTH)))
        notes.print(" ".join(best.sentences), markup=False, highlight=False)
