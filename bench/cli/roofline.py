"""`bench roofline`: how near each case comes to what this machine can do, and what keeps it from coming nearer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import psutil
from rich.console import Console

from bench.machine.environment import first_cpu
from bench.machine.gpu import check_device
from bench.measure.machine_lock import alone
from bench.measure.progress import Progress
from bench.plan.request import Plan, Prepared, Request, plan
from bench.report import Report
from bench.report.tables.table import Table
from bench.report.terminal import say_what_is_missing, show
from bench.roofline import device_peaks, roofline_tables
from bench.roofline.achieved_rates import Roofline, roofline
from bench.roofline.device_peaks import Peak
from bench.roofline.rate_measurement import KINDS, measure
from bench.worker.step_work import Step

ROUND_SECONDS = 0.3
#: Launches and rounds where none are asked for.
LAUNCHES, ROUNDS = 3, 3


def show_roofline(wait: bool, **options: Any) -> int:
    """Print the tables of each task; the exit status is 0, or 1 where a worker died.

    Raises:
        UserError: a mistake of the user's, before anything was started.
    """
    console = Console()
    chosen = plan(Request(**options))
    sizes = {
        "launches": options.get("launches") or LAUNCHES,
        "rounds": options.get("rounds") or ROUNDS,
        "round_seconds": ROUND_SECONDS,
    }
    tasks = tuple(replace(prepared, fine_tune=False) for prepared in chosen.tasks)
    chosen = replace(chosen, suite=chosen.suite.model_copy(update=sizes), tasks=tasks)
    say_what_is_missing(console, chosen.banner, chosen.skipped)
    sound = True
    with alone("bench roofline", wait, console.print):
        for prepared in chosen.tasks:
            found, died = _measured(console, chosen, prepared)
            sound = sound and not died
            if found:
                show(Report((), _tables(found, _peak(chosen), chosen.default.device != "cpu")), console)
            for line in died:
                console.print(line, style="red", markup=False)
    return 0 if sound else 1


def _measured(console: Console, chosen: Plan, prepared: Prepared) -> tuple[list[Roofline], list[str]]:
    """The cases whose workers all lived, and what became of the others."""
    with Progress(console, chosen, KINDS) as progress:
        done = measure(chosen, prepared, progress, lambda launch, jobs: progress.launch(prepared, launch, jobs))
    living = [one for one in done if one.failure is None]
    died = [f"{one.backend}/{one.variant.name} died: {one.failure}" for one in done if one.failure]
    return [roofline(Step(prepared.task, one.variant), one) for one in living], died


def _tables(cases: Sequence[Roofline], peak: Peak | str, gpu: bool) -> list[Table]:
    """All of a task; cases whose steps are the same work share its table."""
    steps = {tuple(case.step.parts.items()): case.step for case in reversed(cases)}
    layers = roofline_tables.layer_table(cases)
    return [
        *(roofline_tables.work_table(step) for step in reversed(steps.values())),
        roofline_tables.rate_table(cases, peak),
        *([layers] if layers else []),
        roofline_tables.roofline_table(cases, peak, gpu),
        roofline_tables.evidence_table(cases),
    ]


def _peak(chosen: Plan) -> Peak | str:
    """What the device could do at most, or why that is not known."""
    gpu = check_device(chosen.default.device)
    if gpu is not None:
        return device_peaks.of_gpu(gpu.name)
    described, clock = first_cpu(), psutil.cpu_freq()
    cores = min(chosen.default.threads or 1, psutil.cpu_count(logical=False) or 1)
    flags = frozenset((described.get("flags") or described.get("Features") or "").split())
    return device_peaks.of_cpu(described, flags, cores, clock.max if clock else None)
