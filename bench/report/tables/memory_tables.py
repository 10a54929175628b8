"""The memory tables: peaks of host and device, host memory by phase, and memory per image of a batch."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial

from bench.analysis.launches import CaseLaunches, TaskLaunches
from bench.analysis.statistics import slope
from bench.records.record import Memory, Phase
from bench.records.units import MB
from bench.report.tables.number_format import format_interval
from bench.report.tables.table import Cell, Column, Table

#: A function that reads a size in bytes from a launch's memory.
Size = Callable[[Memory], int | None]


def build_memory_table(task: TaskLaunches) -> Table:
    """Build the table of peaks, one row per case: medians over its launches."""
    return Table(
        title=f"Memory: {task.name}",
        columns=(
            Column("case", figures=False),
            Column("host peak MB"),
            Column("host peak minus import MB"),
            Column("device peak MB"),
            Column("device by NVML MB"),
        ),
        rows=tuple(_row(case) for case in task.cases),
        notes=(
            "MB: 2^20 bytes; medians over launches",
            "host peak: of the phase with the highest peak, including the processes of the input pipeline (shared "
            "pages count once); import: peak while the framework is imported",
            "device peak: allocated by the framework (reserved: with its allocator's cache); NVML: memory in use on "
            "the device, without what was in use before the worker started",
        ),
    )


def build_phase_table(task: TaskLaunches) -> Table:
    """Build the table of phases, one column per case: the peak within each phase, and the live memory at its end."""
    names = list(dict.fromkeys(phase.name for case in task.cases for phase in _phases(case)))
    return Table(
        title=f"Host memory by phase: {task.name}",
        columns=(Column("phase", figures=False), *(Column(f"{case.label} MB") for case in task.cases)),
        rows=tuple((Cell(name), *(Cell(_format_phase(case, name)) for case in task.cases)) for name in names),
        notes=(
            "peak within the phase (memory at its end) + processes of the input pipeline, without the memory that they "
            "share with the worker; medians over launches",
            "interpreter: Python with pytest and the harness",
        ),
    )


def build_slope_table(tasks: Sequence[TaskLaunches]) -> Table | None:
    """Build the table of memory per image of a batch, from tasks that differ only in their batch size.

    None if no task was measured at three batch sizes or more.
    """
    groups: dict[str, list[TaskLaunches]] = {}
    for task in tasks:
        key = task.task.model_dump_json(exclude={"name", "batch_size", "train_limit", "epochs"})
        groups.setdefault(key, []).append(task)
    rows = []
    for group in groups.values():
        sizes = sorted({task.task.batch_size for task in group})
        if len(sizes) < 3:
            continue
        for label in dict.fromkeys(case.label for task in group for case in task.cases):
            cases = [(task.task.batch_size, case) for task in group for case in task.cases if case.label == label]
            rows.append(
                (
                    Cell(label),
                    Cell(group[0].task.name),
                    Cell(", ".join(str(size) for size in sizes)),
                    Cell(_format_slope(cases, _training_peak)),
                    Cell(_format_slope(cases, lambda memory: memory.device_allocated)),
                )
            )
    if not rows:
        return None
    return Table(
        title="Memory per image of a batch",
        columns=(
            Column("case", figures=False),
            Column("task", figures=False),
            Column("batch sizes", figures=False),
            Column("host MB per image"),
            Column("device MB per image"),
        ),
        rows=tuple(rows),
        notes=(
            "least-squares slope of the peak in training over the batch size [95 % interval], one point per launch",
        ),
    )


def _format_slope(cases: Sequence[tuple[int, CaseLaunches]], size: Size) -> str:
    points = [
        (batch, bytes_ / MB)
        for batch, case in cases
        for record in case.finished
        if record.memory and (bytes_ := size(record.memory)) is not None
    ]
    if len({batch for batch, _ in points}) < 3:
        on_cpu = all(case.first.variant.device == "cpu" for _, case in cases)
        return "no GPU" if on_cpu and size is not _training_peak else "not measured"
    batches, sizes = zip(*points, strict=True)
    return format_interval(slope(batches, sizes), lambda value: f"{value:,.2f}")


def _training_peak(memory: Memory) -> int | None:
    return _phase_peak(memory, "training")


def _phases(case: CaseLaunches) -> list[Phase]:
    return [phase for record in case.finished if record.memory for phase in record.memory.host]


def _format_phase(case: CaseLaunches, name: str) -> str:
    phases = [phase for phase in _phases(case) if phase.name == name]
    peaks = [phase.peak for phase in phases if phase.peak is not None]
    lives = [phase.live for phase in phases if phase.live is not None]
    if not peaks or not lives:
        return "–"
    children = statistics.median(phase.children for phase in phases) / MB
    extra = f" + {children:,.0f}" if children >= 1 else ""
    return f"{statistics.median(peaks) / MB:,.0f} ({statistics.median(lives) / MB:,.0f}){extra}"


def find_host_peak(case: CaseLaunches) -> float | None:
    """The host's peak in bytes, of the phase with the highest median over launches; None where nothing was measured."""
    peaks = (_median(case, partial(_phase_peak, name=name)) for name in _phase_names(case))
    return max((size for size in peaks if size is not None), default=None)


def find_device_peak(case: CaseLaunches) -> float | None:
    """The device's peak in bytes, as the framework counts it; None without a device of its own."""
    return _median(case, lambda memory: memory.device_allocated)


def _row(case: CaseLaunches) -> tuple[Cell, ...]:
    peak, imported = find_host_peak(case), _median(case, partial(_phase_peak, name="import"))
    device = _format_device_size(case, lambda memory: memory.device_allocated)
    reserved = _median(case, lambda memory: memory.device_reserved)
    if reserved is not None:
        device += f" (reserved {reserved / MB:,.0f})"
    return (
        Cell(case.label),
        Cell(_format_size(case, peak)),
        Cell(_format_size(case, None if peak is None or imported is None else peak - imported)),
        Cell(device),
        Cell(_format_device_size(case, lambda memory: memory.nvml_device)),
    )


def _phase_names(case: CaseLaunches) -> list[str]:
    """Return the names of the phases of all launches; only some launches fine-tune."""
    return list(dict.fromkeys(phase.name for phase in _phases(case)))


def _phase_peak(memory: Memory, name: str) -> int | None:
    phase = memory.phase(name)
    return None if phase is None or phase.peak is None else phase.peak + phase.children


def _format_device_size(case: CaseLaunches, size: Size) -> str:
    """Format a size on the device; a case on the CPU has `no GPU`, never 0 and never a host figure."""
    on_cpu = case.first.variant.device == "cpu"
    median = _median(case, size)
    return "no GPU" if on_cpu and case.finished and median is None else _format_size(case, median)


def _format_size(case: CaseLaunches, size: float | None) -> str:
    return case.placeholder if size is None else f"{size / MB:,.0f}"


def _median(case: CaseLaunches, size: Size) -> float | None:
    sizes = [bytes_ for r in case.finished if r.memory and (bytes_ := size(r.memory)) is not None]
    return statistics.median(sizes) if sizes else None
