"""The memory table: host peak, device peak as the framework counts it, and as NVML does."""

from __future__ import annotations

import statistics
from collections.abc import Callable

from bench.frame import MB, host_peak
from bench.record import Memory
from bench.tables.launches import CaseLaunches, TaskLaunches
from bench.tables.table import Cell, Column, Table

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
            "MB: 2^20 bytes; median over launches; import: the peak once the framework was imported; "
            "NVML: in use on the device beyond what was before the worker started",
        ),
    )


def _row(case: CaseLaunches) -> tuple[Cell, ...]:
    device = _on_device(case, lambda memory: memory.device_allocated)
    reserved = _median(case, lambda memory: memory.device_reserved)
    if reserved is not None:
        device += f" (reserved {reserved / MB:,.0f})"
    return (
        Cell(case.label),
        Cell(_shown(case, host_peak)),
        Cell(_shown(case, _beyond_import)),
        Cell(device),
        Cell(_on_device(case, lambda memory: memory.nvml_device)),
    )


def _beyond_import(memory: Memory) -> int | None:
    peak = host_peak(memory)
    return None if peak is None or memory.host_import is None else peak - memory.host_import


def _on_device(case: CaseLaunches, size: Size) -> str:
    """Never 0 and never a host figure where the case ran on the CPU."""
    on_cpu = case.first.variant.device == "cpu"
    return "no GPU" if on_cpu and case.finished and _median(case, size) is None else _shown(case, size)


def _shown(case: CaseLaunches, size: Size) -> str:
    median = _median(case, size)
    return case.absence if median is None else f"{median / MB:,.0f}"


def _median(case: CaseLaunches, size: Size) -> float | None:
    sizes = [found for r in case.finished if r.memory and (found := size(r.memory)) is not None]
    return statistics.median(sizes) if sizes else None
