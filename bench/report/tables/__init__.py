"""The tables of a run, as data: made from its records alone, and shown by `bench.report`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from backends import REGISTRY
from bench.analysis.launches import by_task
from bench.errors import unknown
from bench.records.record import Record
from bench.report.tables.absent_table import absent_table
from bench.report.tables.accuracy_table import accuracy_table
from bench.report.tables.attribution_table import attribution_table
from bench.report.tables.cached_table import cached_table
from bench.report.tables.cost_tables import cost_table, loading_table
from bench.report.tables.memory_tables import memory_table, phase_table, slope_table
from bench.report.tables.parity_table import parity_table
from bench.report.tables.start_up_table import start_up_table
from bench.report.tables.table import Cell, Column, Table
from bench.report.tables.throughput_table import throughput_table

__all__ = ["Cell", "Column", "Table", "tables"]


def tables(
    records: Sequence[Record],
    relative_to: str = "pytorch",
    skipped: Mapping[str, str] = MappingProxyType({}),
    banner: str | None = None,
) -> list[Table]:
    """Throughput, memory, accuracy, start-up, costs and parity of each task, and last what is missing and why.

    Args:
        records: of one run, in the order in which cases are to be shown.
        relative_to: what ratios are to: a backend (its `default` variant) or `backend/variant`.
        skipped: reasons by backend.
        banner: a caution that is printed above every table.

    Raises:
        UserError: `relative_to` is no backend and no case of the run.
    """
    cases = {f"{record.backend}/{record.variant.name}" for record in records}
    known = dict.fromkeys((*REGISTRY, *(record.backend for record in records), *skipped))
    if relative_to not in known and relative_to not in cases:
        raise unknown("backend", relative_to, [*known, *sorted(cases)])
    tasks = by_task(records)
    made: list[Table] = []
    default = {task.task.hash: task for task in tasks if task.division == "default"}
    for task in tasks:
        made.append(throughput_table(task, relative_to))
        made += [make(task) for make in (memory_table, phase_table, accuracy_table)]
        made.append(start_up_table(task, relative_to))
        if task.division == "cached":
            made.append(cached_table(task, default.get(task.task.hash)))
        made += [make(task) for make in (cost_table, loading_table, parity_table)]
    for name in dict.fromkeys((task.task.name, task.task.hash) for task in tasks):
        if attributed := attribution_table(task for task in tasks if (task.task.name, task.task.hash) == name):
            made.append(attributed)
    if slopes := slope_table(tasks):
        made.append(slopes)
    if absent := absent_table(tasks, skipped):
        made.append(absent)
    return [replace(table, banner=banner) for table in made]
