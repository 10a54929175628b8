"""The explanation of a tuned variant, in tables and a plot."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from backends.task import Variant
from bench.analysis.break_even import BreakEven
from bench.analysis.statistics import Interval
from bench.data.order import draw_order
from bench.errors import UserError
from bench.machine import gpu
from bench.machine.environment import describe_cpu
from bench.measure.machine_lock import hold_lock
from bench.measure.silent_progress import SilentProgress
from bench.plan import tuned_variants
from bench.plan.plan import make_plan
from bench.plan.prepared_task import PreparedTask
from bench.plan.request import Request
from bench.plan.tuned_variants import TunedVariant
from bench.report.terminal import print_missing
from bench.tune import waterfall_plot
from bench.tune.crew_launch import CrewMeasurer, LaunchResult
from bench.tune.crew_workers import CrewWorkers
from bench.tune.explanation import LAUNCHES, ROUNDS, Explanation, StartUpComparison
from bench.tune.explanation import explain as explained


def show_steps(wait: bool, output: Path | None, results: Path, request: Request) -> int:
    """Print tables for each backend and task, and draw a plot of each.

    Raises:
        UserError: a mistake of the user's, or nothing was tuned.
    """

    console, progress = Console(), Console(stderr=True)
    chosen = make_plan(request)
    print_missing(console, chosen.banner, chosen.skipped)
    several = len(chosen.tasks) * len(chosen.backends) > 1

    def say(line: str) -> None:
        progress.print(line, highlight=False, markup=False, soft_wrap=True)

    def told_of(number: int, launched: LaunchResult) -> None:
        say(f"  launch {number} of {LAUNCHES}: {launched.wall_s:.0f} s")

    with hold_lock("bench explain", wait, console.print):
        for prepared in chosen.tasks:
            for backend in chosen.backends:
                found = _tuned(backend, prepared, chosen.default)
                if not found.knobs:
                    console.print(f"{backend} {prepared.task.name}: tuned is the default, there is nothing to explain")
                    continue
                file = _file(output, results, found, several)
                say(f"{backend} {prepared.task.name}: {LAUNCHES} launches of up to {2 * len(found.knobs)} variants")
                with tempfile.TemporaryDirectory(prefix="head-to-head-", ignore_cleanup_errors=True) as compiled:
                    workers = CrewWorkers(backend, prepared, SilentProgress(say), compiled=Path(compiled))
                    told = explained(chosen.default, found.knobs, CrewMeasurer(workers.launch).measure, told_of)
                title = f"{backend}, {prepared.task.name}, batch size {prepared.task.batch_size}"
                console.print(table(f"{title}: from default to tuned", told))
                console.print(break_even_table(f"{title}: what its start costs", told.start_ups, _epoch(prepared)))
                _draw(told, f"{title}: from default to tuned\n{_machine()}", file)
                console.print(f"Plot: {file}", soft_wrap=True, markup=False)
    return 0


def table(title: str, told: Explanation) -> Table:
    """A row a knob."""

    made = Table("knob", "value", "× the step before", "× the default so far", "tuned, × without it", title=title)
    for step in told.effects:
        made.add_row(step.knob, step.value, *map(_told, (step.over_previous, step.over_default, step.over_without)))
    made.caption = Text(f"{LAUNCHES} launches of {ROUNDS} rounds each, `pipeline` steps; [95 % interval]")
    return made


def break_even_table(title: str, paid: Sequence[StartUpComparison], steps_in_epoch: int) -> Table:
    """A row a comparison: what the start costs more, and after how many steps and epochs that is paid for."""
    made = Table("", "first start, s", "it is", "later starts, s", "they are", title=title)
    for one in paid:
        made.add_row(
            one.label, *_paid(one, one.first_start, steps_in_epoch), *_paid(one, one.later_starts, steps_in_epoch)
        )
    made.caption = Text(
        "seconds that import, build and first step take longer; first: the compiler finds nothing that it compiled "
        "before, one launch; later: it finds what it keeps on disk, the mean of the others [least–most]; a partial "
        f"last batch and an evaluation compile once more, which is not in it; an epoch is {steps_in_epoch:,} steps"
    )
    return made


def _paid(one: StartUpComparison, found: BreakEven | None, steps_in_epoch: int) -> tuple[str, str]:
    if found is None:
        return "died", "–"
    if not one.speeds_differ:
        return f"{found.longer_start_s:+.1f}", "unknown: no difference in speed found"
    return f"{found.longer_start_s:+.1f}", found.describe(steps_in_epoch)


def _tuned(backend: str, prepared: PreparedTask, default: Variant) -> TunedVariant:

    found = tuned_variants.load(backend, prepared.task.hash, default)
    if found is None:
        raise UserError(tuned_variants.explain_missing(backend, prepared.task.name, prepared.task.hash, default))
    return found


def _file(output: Path | None, results: Path, found: TunedVariant, several: bool) -> Path:
    """Where the plot goes: one that cannot be written is better known before minutes of measuring."""

    own = f"{found.backend}-{found.task}"
    file = output or results / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-explain-{own}.png"
    if file.suffix not in waterfall_plot.FORMATS:
        raise UserError(f"--output {file}: end it in {', '.join(waterfall_plot.FORMATS)}")
    if output and several:
        file = output.with_stem(f"{output.stem}-{own}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    except OSError as error:
        raise UserError(f"cannot write {file} ({error.strerror}): use another --output") from None
    file.unlink()
    return file


def _draw(told: Explanation, title: str, file: Path) -> None:

    try:
        waterfall_plot.draw(told, title, file)
    except OSError as error:
        raise UserError(f"cannot write {file} ({error.strerror}): use another --output") from None


def _epoch(prepared: PreparedTask) -> int:

    task = prepared.task
    images = len(prepared.dataset.train_images)
    return draw_order(images, 1, task.batch_size, task.last_batch == "dropped", task.seed).steps_per_epoch


def _machine() -> str:

    told = describe_cpu()
    graphics = ", ".join(str(device.name) for device in gpu.list_devices()) or "no GPU"
    return f"{told['model']}, {told['cores_usable']} cores, {graphics}"


def _told(found: Interval | None) -> str:
    if found is None:
        return "died"
    text = f"{found.estimate:.3f}"
    return text if found.low is None else f"{text} [{found.low:.3f}–{found.high:.3f}]"
