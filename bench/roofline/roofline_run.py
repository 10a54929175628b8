"""The run of `bench roofline`: measures the rates of all cases and of the machine, prints and stores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import psutil
from rich.console import Console

from bench.analysis.warnings import add_run_warnings
from bench.errors import UserError
from bench.machine.environment import describe_environment, read_first_cpu
from bench.machine.gpu import find_device
from bench.machine.system_reading import try_read
from bench.measure.machine_lock import hold_lock
from bench.plan.plan import Plan, make_plan
from bench.plan.prepared_task import PreparedTask
from bench.plan.request import Request
from bench.report.live.view_choice import open_view
from bench.report.terminal import print_missing
from bench.roofline import device_peaks, roofline_file, roofline_output
from bench.roofline.achieved_rates import compute_roofline
from bench.roofline.device_peaks import Peak
from bench.roofline.rate_measurement import ROUND_KINDS, CaseMeasurement, measure_rates
from bench.worker.step_work import Step

ROUND_SECONDS = 0.3
#: Launches and rounds if the request has none.
DEFAULT_LAUNCHES, DEFAULT_ROUNDS = 3, 3


def show_roofline(wait: bool, request: Request) -> int:
    """Print the tables of each task, and store what was measured. The exit status is 0; 1 if a worker died.

    Raises:
        UserError: the request has a mistake; nothing was measured.
    """
    console = Console()
    plan = make_plan(request)
    effort = {
        "launches": request.launches or DEFAULT_LAUNCHES,
        "rounds": request.rounds or DEFAULT_ROUNDS,
        "round_seconds": ROUND_SECONDS,
    }
    tasks = tuple(replace(prepared, fine_tune=False) for prepared in plan.tasks)
    plan = replace(plan, suite=plan.suite.model_copy(update=effort), tasks=tasks)
    print_missing(console, plan.banner, plan.skipped, plan.threads_note)
    peak = _find_peak(plan)
    done: list[roofline_file.TaskMeasurement] = []
    problem: UserError | None = None
    with hold_lock("bench roofline", wait, console.print):
        folder = roofline_file.create_folder(request.results, plan.suite.name)
        about = describe_environment(plan.default.threads)
        for prepared in plan.tasks:
            measured = _measure_task(console, plan, prepared)
            done.append(measured)
            problem = _write(folder, plan, about, peak, done)
            roofline_output.print_task(console, roofline_output.describe(measured), peak, plan.default.device)
            if measured.stopped:  # the launches that have finished are shown
                raise measured.stopped
    if problem:
        console.print(f"warning: {problem}", style="yellow", soft_wrap=True, markup=False)
    else:
        roofline_output.write_page(console, folder)
        console.print(f"Results: {folder}", soft_wrap=True, markup=False, highlight=False)
    return 1 if any(measured.deaths for measured in done) else 0


def _write(
    folder: Path,
    plan: Plan,
    about: Mapping[str, object],
    peak: Peak | str,
    done: Sequence[roofline_file.TaskMeasurement],
) -> UserError | None:
    """Write the file; returns why that was not possible: the tables are printed all the same."""
    try:
        roofline_file.write(folder, plan, about, peak, done)
    except UserError as problem:
        return problem
    return None


def _measure_task(console: Console, plan: Plan, prepared: PreparedTask) -> roofline_file.TaskMeasurement:
    """Measure the cases of a task."""
    rates = [CaseMeasurement(backend, variant) for backend, variant in plan.cases(prepared)]
    stopped: KeyboardInterrupt | None = None
    try:
        with open_view(console, plan, ROUND_KINDS) as progress:
            measure_rates(
                plan, prepared, rates, progress, lambda launch, jobs: progress.start_launch(prepared, launch, jobs)
            )
    except KeyboardInterrupt as interrupt:
        if not all(one.records for one in rates):  # no launch has finished
            raise
        stopped = interrupt
    return roofline_file.TaskMeasurement(
        prepared=prepared,
        rooflines=[compute_roofline(Step(prepared.task, one.variant), one) for one in rates if one.failure is None],
        cases=rates,
        records=add_run_warnings([record for one in rates for record in one.records]),
        stopped=stopped,
    )


def _find_peak(plan: Plan) -> Peak | str:
    """Find the device's peak, or the reason why it is unknown."""
    gpu = find_device(plan.default.device)
    if gpu is not None:
        return device_peaks.find_gpu_peak(gpu.name)
    cpu, clock = read_first_cpu(), try_read(lambda: psutil.cpu_freq())
    physical = try_read(lambda: psutil.cpu_count(logical=False))
    cores = min(plan.default.threads or 1, physical or 1)
    flags = frozenset((cpu.get("flags") or cpu.get("Features") or "").split())
    return device_peaks.compute_cpu_peak(cpu, flags, cores, clock.max if clock else None)
