"""The run of `bench explain`: measures each tuned variant, shows what its knobs contribute, and stores it."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from backends.task import Variant
from bench.data.order import draw_order
from bench.errors import UserError
from bench.machine.environment import describe_environment
from bench.measure.machine_lock import hold_lock
from bench.measure.scratch_folder import make_scratch_folder
from bench.plan import tuned_variants
from bench.plan.plan import Plan, make_plan
from bench.plan.prepared_task import PreparedTask
from bench.plan.request import Request
from bench.plan.several_devices import refuse_several_devices
from bench.plan.tuned_variants import TunedVariant
from bench.records import store
from bench.records.private_paths import shorten_command
from bench.report.live.silent_progress import SilentProgress
from bench.report.terminal import print_missing
from bench.tune import explanation_output, stored_explanation
from bench.tune.crew_launch import CrewMeasurer, LaunchResult
from bench.tune.crew_workers import CrewWorkers
from bench.tune.explanation import LAUNCHES, ROUNDS, explain
from bench.tune.stored_explanation import StoredExplanation


def show_explanations(wait: bool, output: Path | None, results: Path, request: Request) -> int:
    """Print tables for each backend and task, store them, and draw a plot of each.

    Raises:
        UserError: the request has a mistake, or there is no tuned variant.
    """
    console, progress = Console(), Console(stderr=True)
    refuse_several_devices(request, "bench explain")
    plan = make_plan(request)
    print_missing(console, plan.banner, plan.skipped, plan.threads_note)

    def say(line: str) -> None:
        progress.print(line, highlight=False, markup=False, soft_wrap=True)

    with hold_lock("bench explain", wait, console.print):
        cases = []
        for prepared, backend, tuned in _load_tuned_variants(plan):
            if tuned.knobs:
                cases.append((prepared, backend, tuned))
            else:
                console.print(
                    f"{backend} {prepared.task.name}: the tuned variant is the default, there is nothing to explain"
                )
        if not cases:
            return 0
        plots = [explanation_output.check_plot_file(output, tuned, len(cases) > 1) for *_, tuned in cases]
        folder = store.create_run(results, "explain", datetime.now(UTC), stored_explanation.FOLDER)
        about = {**describe_environment(plan.default.threads), "run": {"command": shorten_command(sys.argv[1:])}}
        for (prepared, backend, tuned), plot in zip(cases, plots, strict=True):
            explained = _explain_case(prepared, backend, tuned, plan, about, say)
            explanation_output.print_explanation(console, explained)
            for problem in explanation_output.keep(folder, explained, plot):
                console.print(problem, style="yellow", soft_wrap=True, markup=False)
        explanation_output.finish(console, folder)
    return 0


def _load_tuned_variants(plan: Plan) -> list[tuple[PreparedTask, str, TunedVariant]]:
    """Load the tuned variant of each case.

    Raises:
        UserError: there is none for a case.
    """
    return [
        (prepared, backend, _load_tuned_variant(backend, prepared, plan.default))
        for prepared in plan.tasks
        for backend in plan.backends
    ]


def _load_tuned_variant(backend: str, prepared: PreparedTask, default: Variant) -> TunedVariant:
    tuned = tuned_variants.load(backend, prepared.task.hash, default)
    if tuned is None:
        raise UserError(tuned_variants.explain_missing(backend, prepared.task.name, prepared.task.hash, default))
    return tuned


def _explain_case(
    prepared: PreparedTask,
    backend: str,
    tuned: TunedVariant,
    plan: Plan,
    about: dict[str, object],
    say: explanation_output.PrintLine,
) -> StoredExplanation:
    def print_launch(number: int, launched: LaunchResult) -> None:
        say(f"  launch {number} of {LAUNCHES}: {launched.wall_s:.0f} s")

    say(f"{backend} {prepared.task.name}: {LAUNCHES} launches of up to {2 * len(tuned.knobs)} variants")
    started = datetime.now(UTC)
    with make_scratch_folder() as compiled:
        workers = CrewWorkers(backend, prepared, SilentProgress(say), compiled=compiled)
        explanation = explain(plan.default, tuned.knobs, CrewMeasurer(workers.launch).measure, print_launch)
    return StoredExplanation(
        measured=started.isoformat(timespec="seconds"),
        about=about,
        backend=backend,
        task=prepared.task,
        steps_in_epoch=_count_steps_per_epoch(prepared),
        launches=LAUNCHES,
        rounds=ROUNDS,
        explanation=explanation,
    )


def _count_steps_per_epoch(prepared: PreparedTask) -> int:
    task = prepared.task
    images = len(prepared.dataset.train_images)
    return draw_order(images, 1, task.batch_size, task.last_batch == "dropped", task.seed).steps_per_epoch
