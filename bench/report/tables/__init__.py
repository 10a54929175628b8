"""The tables of a run as data, made from its records alone; the exporters of `bench.report` format them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

from backends import REGISTRY
from bench.analysis.launches import TaskLaunches, group_by_task
from bench.errors import make_unknown_error
from bench.records.record import Record
from bench.report.tables.absent_table import build_absent_table
from bench.report.tables.accuracy_table import build_accuracy_table
from bench.report.tables.attribution_table import build_attribution_tables
from bench.report.tables.cached_table import build_cached_table
from bench.report.tables.cost_tables import build_cost_table, build_loading_table
from bench.report.tables.memory_tables import build_memory_table, build_phase_table, build_slope_table
from bench.report.tables.parity_table import build_parity_table
from bench.report.tables.scaling_table import build_scaling_tables
from bench.report.tables.start_up_table import build_start_up_table
from bench.report.tables.table import Cell, Column, Table
from bench.report.tables.throughput_table import build_throughput_table

__all__ = ["Cell", "Column", "Table", "tables"]


def build_tables(
    records: Sequence[Record],
    relative_to: str = "pytorch",
    skipped: Mapping[str, str] = MappingProxyType({}),
    banner: str | None = None,
) -> list[Table]:
    """Build all tables of a run: for each task throughput, memory, accuracy, start-up, wall time, loading and parity.

    After them come the tables that span several tasks, and last the table of what was not measured.

    Args:
        records: the records of one run.
        relative_to: the case that ratios are relative to: `backend/variant`, or a backend for its `default` variant.
        skipped: reasons by backend.
        banner: a caution that is shown above the first table.

    Raises:
        UserError: `relative_to` is neither a backend nor a case of the run.
    """
    cases = {f"{record.backend}/{record.variant.name}" for record in records}
    known = dict.fromkeys((*REGISTRY, *(record.backend for record in records), *skipped))
    if relative_to not in known and relative_to not in cases:
        raise make_unknown_error("backend", relative_to, [*known, *sorted(cases)])
    tasks = group_by_task(records)
    made: list[Table] = []
    defaults = {task.task.hash: task for task in tasks if task.division == "default"}
    for task in tasks:
        made.append(build_throughput_table(task, relative_to))
        made += [make(task) for make in (build_memory_table, build_phase_table, build_accuracy_table)]
        made.append(build_start_up_table(task, relative_to))
        if task.division == "cached":
            made.append(build_cached_table(task, defaults.get(task.task.hash)))
        made += [make(task) for make in (build_cost_table, build_loading_table, build_parity_table)]
    command = format_command(records, relative_to)
    made += [*build_scaling_tables(records), *build_overall_tables(tasks, skipped)]
    return [replace(table, banner=banner, command=command) for table in made]


def build_overall_tables(tasks: Sequence[TaskLaunches], skipped: Mapping[str, str]) -> list[Table]:
    """Build the tables that span several tasks or divisions, and last the table of what was not measured."""
    keys = dict.fromkeys((task.task.name, task.task.hash) for task in tasks)
    made = [
        table
        for key in keys
        for table in build_attribution_tables(t for t in tasks if (t.task.name, t.task.hash) == key)
    ]
    return [table for table in (*made, build_slope_table(tasks), build_absent_table(tasks, skipped)) if table]


def format_command(records: Sequence[Record], relative_to: str) -> str | None:
    """Format the command line that measures these records again; None where the records do not have it.

    Args:
        records: of one run.
        relative_to: of its tables; the command has it where the run had another one.
    """
    run = records[0].about.get("run") if records else None
    if not isinstance(run, dict) or not run.get("command"):
        return None
    other = relative_to != run.get("relative_to", relative_to)
    return f"bench {run['command']}{f' --relative-to {relative_to}' if other else ''}"
