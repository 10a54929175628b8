"""The memory tables: peaks of host and device, the host's by phase, and what an image of a batch costs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial

from bench.analysis.launches import CaseLaunches, TaskLaunches
from bench.analysis.statistics import slope
from bench.records.record import Memory, Phase
from bench.records.units import MB
from bench.report.tables.number_format import with_interval
from bench.report.tables.table import Cell, Column, Table

Size = Callable[[Memory], int | None]


def memory_table(task: TaskLaunches) -> Table:
    """One row per case: medians over its launches."""
    return Table(
        title=f"Memory: {task.name}",
        columns=(
            Column("case", figures=False),
            Column("peak host MB"),
            Column("peak minus import MB"),
            Column("device peak MB"),
            Column("device by NVML MB"),
        ),
        rows=tuple(_row(case) for case in task.cases),
        notes=(
            "MB: 2^20 bytes; the highest phase, each as its median over launches; host: with the processes of the "
            "input pipeline, pages that they share counted once; import: the peak while the framework was imported; "
            "NVML: in use on the device beyond what was before the worker started",
        ),
    )


def phase_table(task: TaskLaunches) -> Table:
    """One row per phase, one column per case: the peak within the phase, and what was live at its end."""
    names = list(dict.fromkeys(phase.name for case in task.cases for phase in _phases(case)))
    return Table(
        title=f"Host memory by phase: {task.name}",
        columns=(Column("phase", figures=False), *(Column(f"{case.label} MB") for case in task.cases)),
        rows=tuple((Cell(name), *(Cell(_phase(case, name)) for case in task.cases)) for name in names),
        notes=(
            "peak (live at the end), median over launches; +: processes of the input pipeline, by their proportional "
            "size, without what they share with the worker; interpreter: with pytest and the harness",
        ),
    )


def slope_table(tasks: Sequence[TaskLaunches]) -> Table | None:
    """Host and device memory per image of a batch, from tasks that differ in their batch size alone.

    None where no task was measured at three batch sizes.
    """
    groups: dict[str, list[TaskLaunches]] = {}
    for task in tasks:
        alike = task.task.model_dump_json(exclude={"name", "batch_size", "train_limit", "epochs"})
        groups.setdefault(alike, []).append(task)
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
                    Cell(_per_image(cases, _training_peak)),
                    Cell(_per_image(cases, lambda memory: memory.device_allocated)),
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
        notes=("least-squares slope of the peak in training over the batch size [95 % interval], one point a launch",),
    )


def _per_image(cases: Sequence[tuple[int, CaseLaunches]], size: Size) -> str:
    points = [
        (batch, found / MB)
        for batch, case in cases
        for record in case.finished
        if record.memory and (found := size(record.memory)) is not None
    ]
    if len({batch for batch, _ in points}) < 3:
        on_cpu = all(case.first.variant.device == "cpu" for _, case in cases)
        return "no GPU" if on_cpu and size is not _training_peak else "not measured"
    batches, sizes = zip(*points, strict=True)
    return with_interval(slope(batches, sizes), lambda value: f"{value:,.2f}")


def _training_peak(memory: Memory) -> int | None:
    return _phase_peak(memory, "training")


def _phases(case: CaseLaunches) -> list[Phase]:
    return [phase for record in case.finished if record.memory for phase in record.memory.host]


def _phase(case: CaseLaunches, name: str) -> str:
    found = [phase for phase in _phases(case) if phase.name == name]
    peaks = [phase.peak for phase in found if phase.peak is not None]
    lives = [phase.live for phase in found if phase.live is not None]
    if not peaks or not lives:
        return "–"
    children = statistics.median(phase.children for phase in found) / MB
    extra = f" + {children:,.0f}" if children >= 1 else ""
    return f"{statistics.median(peaks) / MB:,.0f} ({statistics.median(lives) / MB:,.0f}){extra}"


def _row(case: CaseLaunches) -> tuple[Cell, ...]:
    peaks = {name: _median(case, partial(_phase_peak, name=name)) for name in _names(case)}
    peak = max((size for size in peaks.values() if size is not None), default=None)
    imported = peaks.get("import")
    device = _on_device(case, lambda memory: memory.device_allocated)
    reserved = _median(case, lambda memory: memory.device_reserved)
    if reserved is not None:
        device += f" (reserved {reserved / MB:,.0f})"
    return (
        Cell(case.label),
        Cell(_figure(case, peak)),
        Cell(_figure(case, None if peak is None or imported is None else peak - imported)),
        Cell(device),
        Cell(_on_device(case, lambda memory: memory.nvml_device)),
    )


def _names(case: CaseLaunches) -> list[str]:
    """The phases that any launch had: not every one fine-tunes."""
    return list(dict.fromkeys(phase.name for phase in _phases(case)))


def _phase_peak(memory: Memory, name: str) -> int | None:
    phase = memory.phase(name)
    return None if phase is None or phase.peak is None else phase.peak + phase.children


def _on_device(case: CaseLaunches, size: Size) -> str:
    """Never 0 and never a host figure where the case ran on the CPU."""
    on_cpu = case.first.variant.device == "cpu"
    return "no GPU" if on_cpu and case.finished and _median(case, size) is None else _shown(case, size)


def _shown(case: CaseLaunches, size: Size) -> str:
    return _figure(case, _median(case, size))


def _figure(case: CaseLaunches, size: float | None) -> str:
    return case.absence if size is None else f"{size / MB:,.0f}"


def _median(case: CaseLaunches, size: Size) -> float | None:
    sizes = [found for r in case.finished if r.memory and (found := size(r.memory)) is not None]
    return statistics.median(sizes) if sizes else None
