"""The rooflines of all cases of a plan, measured and shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import psutil
from rich.console import Console

from bench.machine.environment import read_first_cpu
from bench.machine.gpu import find_device
from bench.measure.machine_lock import hold_lock
from bench.measure.progress import Progress
from bench.plan.plan import Plan, make_plan
from bench.plan.prepared_task import PreparedTask
from bench.plan.request import Request
from bench.report.exporters import Report
from bench.report.tables.table import Table
from bench.report.terminal import print_missing, print_tables
from bench.roofline import device_peaks, roofline_tables
from bench.roofline.achieved_rates import Roofline, compute_roofline
from bench.roofline.device_peaks import Peak
from bench.roofline.rate_measurement import ROUND_KINDS, measure_rates
from bench.worker.step_work import Step

ROUND_SECONDS = 0.3
#: Launches and rounds where none are asked for.
LAUNCHES, ROUNDS = 3, 3


def show_roofline(wait: bool, request: Request) -> int:
    """Print the tables of each task; the exit status is 0, or 1 where a worker died.

    Raises:
        UserError: a mistake of the user's, before anything was started.
    """

    console = Console()
    chosen = make_plan(request)
    sizes = {
        "launches": request.launches or LAUNCHES,
        "rounds": request.rounds or ROUNDS,
        "round_seconds": ROUND_SECONDS,
    }
    tasks = tuple(replace(prepared, fine_tune=False) for prepared in chosen.tasks)
    chosen = replace(chosen, suite=chosen.suite.model_copy(update=sizes), tasks=tasks)
    print_missing(console, chosen.banner, chosen.skipped)
    sound = True
    with hold_lock("bench roofline", wait, console.print):
        for prepared in chosen.tasks:
            found, died = _measured(console, chosen, prepared)
            sound = sound and not died
            if found:
                print_tables(Report((), _tables(found, _peak(chosen), chosen.default.device != "cpu")), console)
            for line in died:
                console.print(line, style="red", markup=False)
    return 0 if sound else 1


def _measured(console: Console, chosen: Plan, prepared: PreparedTask) -> tuple[list[Roofline], list[str]]:
    """The cases whose workers all lived, and what became of the others."""

    with Progress(console, chosen, ROUND_KINDS) as progress:
        done = measure_rates(
            chosen, prepared, progress, lambda launch, jobs: progress.start_launch(prepared, launch, jobs)
        )
    living = [one for one in done if one.failure is None]
    died = [f"{one.backend}/{one.variant.name} died: {one.failure}" for one in done if one.failure]
    return [compute_roofline(Step(prepared.task, one.variant), one) for one in living], died


def _tables(cases: Sequence[Roofline], peak: Peak | str, gpu: bool) -> list[Table]:
    """All of a task; cases whose steps are the same work share its table."""

    steps = {tuple(case.step.parts.items()): case.step for case in reversed(cases)}
    layers = roofline_tables.build_layer_table(cases)
    return [
        *(roofline_tables.build_work_table(step) for step in reversed(steps.values())),
        roofline_tables.build_rate_table(cases, peak),
        *([layers] if layers else []),
        roofline_tables.build_roofline_table(cases, peak, gpu),
        roofline_tables.build_evidence_table(cases),
    ]


def _peak(chosen: Plan) -> Peak | str:
    """What the device could do at most, or why that is not known."""

    gpu = find_device(chosen.default.device)
    if gpu is not None:
        return device_peaks.find_gpu_peak(gpu.name)
    described, clock = read_first_cpu(), psutil.cpu_freq()
    cores = min(chosen.default.threads or 1, psutil.cpu_count(logical=False) or 1)
    flags = frozenset((described.get("flags") or described.get("Features") or "").split())
    return device_peaks.compute_cpu_peak(described, flags, cores, clock.max if clock else None)
