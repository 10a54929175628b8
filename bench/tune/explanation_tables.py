"""The explanation of tuned variants: measured, and shown in tables and a plot."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from backends.task import Variant
from bench.analysis.break_even import BreakEven
from bench.analysis.statistics import Interval
from bench.analysis.warning_summary import format_warning
from bench.data.order import draw_order
from bench.errors import UserError
from bench.machine import gpu
from bench.machine.environment import describe_cpu
from bench.measure.machine_lock import hold_lock
from bench.measure.scratch_folder import make_scratch_folder
from bench.measure.silent_progress import SilentProgress
from bench.plan import tuned_variants
from bench.plan.plan import make_plan
from bench.plan.prepared_task import PreparedTask
from bench.plan.request import Request
from bench.plan.tuned_variants import TunedVariant
from bench.records import store
from bench.report.tables.number_format import TOO_FEW_LAUNCHES, explain_unknown_lead
from bench.report.terminal import print_missing
from bench.tune import waterfall_plot
from bench.tune.crew_launch import CrewMeasurer, LaunchResult
from bench.tune.crew_workers import CrewWorkers
from bench.tune.explanation import LAUNCHES, ROUNDS, Explanation, StartUpComparison, explain


def show_explanations(wait: bool, output: Path | None, results: Path, request: Request) -> int:
    """Print tables for each backend and task, and draw a plot of each.

    Raises:
        UserError: the request has a mistake, or there is no tuned variant.
    """
    console, progress = Console(), Console(stderr=True)
    plan = make_plan(request)
    print_missing(console, plan.banner, plan.skipped, plan.threads_note)
    several = len(plan.tasks) * len(plan.backends) > 1

    def say(line: str) -> None:
        progress.print(line, highlight=False, markup=False, soft_wrap=True)

    def print_launch(number: int, launched: LaunchResult) -> None:
        say(f"  launch {number} of {LAUNCHES}: {launched.wall_s:.0f} s")

    with hold_lock("bench explain", wait, console.print):
        for prepared in plan.tasks:
            for backend in plan.backends:
                tuned = _load_tuned_variant(backend, prepared, plan.default)
                if not tuned.knobs:
                    console.print(
                        f"{backend} {prepared.task.name}: the tuned variant is the default, there is nothing to explain"
                    )
                    continue
                file = _choose_plot_file(output, results, tuned, several)
                say(f"{backend} {prepared.task.name}: {LAUNCHES} launches of up to {2 * len(tuned.knobs)} variants")
                with make_scratch_folder() as compiled:
                    workers = CrewWorkers(backend, prepared, SilentProgress(say), compiled=compiled)
                    explanation = explain(plan.default, tuned.knobs, CrewMeasurer(workers.launch).measure, print_launch)
                title = f"{backend}, {prepared.task.name}, batch size {prepared.task.batch_size}"
                console.print(build_effect_table(f"{title}: from default to tuned", explanation))
                console.print(
                    build_break_even_table(
                        f"{title}: start-up and when it is amortised",
                        explanation.start_ups,
                        _count_steps_per_epoch(prepared),
                    )
                )
                for warning in explanation.warnings:
                    console.print(f"• {format_warning(warning)}", style="yellow", markup=False, highlight=False)
                plot = _draw_plot(explanation, f"{title}: from default to tuned\n{_describe_machine()}", file)
                console.print(plot, soft_wrap=True, markup=False)
    return 0


def build_effect_table(title: str, explanation: Explanation) -> Table:
    """Build a table with a row for each knob."""
    table = Table("knob", "value", "× the step before", "× the default so far", "tuned, × without it", title=title)
    for effect in explanation.effects:
        ratios = (effect.over_previous, effect.over_default, effect.over_without)
        table.add_row(effect.knob, effect.value, *map(_format_ratio, ratios))
    table.caption = Text(f"{LAUNCHES} launches of {ROUNDS} rounds each, `pipeline` steps; [95 % interval]")
    return table


def build_break_even_table(title: str, start_ups: Sequence[StartUpComparison], steps_in_epoch: int) -> Table:
    """Build a table with a row for each comparison: how much longer the start-up is, and when that is amortised."""
    table = Table("", "first start, s", "break-even", "later starts, s", "break-even", title=title)
    for one in start_ups:
        table.add_row(
            one.label,
            *_format_break_even(one, one.first_start, steps_in_epoch),
            *_format_break_even(one, one.later_starts, steps_in_epoch),
        )
    table.caption = Text(
        "seconds that import, build and first step take longer; first start: the compiler has kept nothing yet, one "
        "launch; later starts: it finds on disk what it kept, the mean of the other launches [least–most]; a partial "
        f"last batch and an evaluation are compiled too, which is not included; an epoch is {steps_in_epoch:,} steps"
    )
    return table


def _format_break_even(comparison: StartUpComparison, start: BreakEven | None, steps_in_epoch: int) -> tuple[str, str]:
    if start is None or comparison.speedup is None:
        return "died", "–"
    if reason := explain_unknown_lead(comparison.speedup):
        return f"{start.longer_start_s:+.1f}", f"unknown: {reason}"
    return f"{start.longer_start_s:+.1f}", start.describe(steps_in_epoch)


def _load_tuned_variant(backend: str, prepared: PreparedTask, default: Variant) -> TunedVariant:
    tuned = tuned_variants.load(backend, prepared.task.hash, default)
    if tuned is None:
        raise UserError(tuned_variants.explain_missing(backend, prepared.task.name, prepared.task.hash, default))
    return tuned


def _choose_plot_file(output: Path | None, results: Path, tuned: TunedVariant, several: bool) -> Path:
    """Choose the plot's file.

    Raises:
        UserError: it cannot be written; the user should know that before minutes of measuring.
    """
    own = f"{tuned.backend}-{tuned.task}"
    file = output or results / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-explain-{own}.png"
    if file.suffix not in waterfall_plot.FORMATS:
        raise UserError(f"--output {file}: end it in {', '.join(waterfall_plot.FORMATS)}")
    if output and several:
        file = output.with_stem(f"{output.stem}-{own}")
    store.make_folder(file.parent)
    store.check_writable(file)
    return file


def _draw_plot(explanation: Explanation, title: str, file: Path) -> str:
    """Draw the plot; returns a line that names its file, or why it could not be written: the tables stand."""
    try:
        waterfall_plot.draw(explanation, title, file)
    except OSError as error:
        return f"warning: cannot write {file}: {error.strerror}: run bench explain again with another --output"
    return f"Plot: {file}"


def _count_steps_per_epoch(prepared: PreparedTask) -> int:
    task = prepared.task
    images = len(prepared.dataset.train_images)
    return draw_order(images, 1, task.batch_size, task.last_batch == "dropped", task.seed).steps_per_epoch


def _describe_machine() -> str:
    cpu = describe_cpu()
    graphics = ", ".join(str(device.name) for device in gpu.list_devices()) or "no GPU"
    return f"{cpu['model']}, {cpu['cores_usable']} cores, {graphics}"


def _format_ratio(ratio: Interval | None) -> str:
    if ratio is None:
        return "died"
    text = f"{ratio.estimate:.3f}"
    return f"{text} ({TOO_FEW_LAUNCHES})" if ratio.low is None else f"{text} [{ratio.low:.3f}–{ratio.high:.3f}]"
