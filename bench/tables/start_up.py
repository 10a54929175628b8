"""The start-up table: what is spent before training runs at its pace."""

from __future__ import annotations

import statistics

from bench.tables.launches import CaseLaunches, TaskLaunches
from bench.tables.table import Cell, Column, Table


def start_up_table(task: TaskLaunches) -> Table:
    """One row per case: medians over its launches."""
    return Table(
        title=f"Start-up: {task.name}",
        columns=(
            Column("case", figures=False),
            Column("import s"),
            Column("build s"),
            Column("first step s"),
        ),
        rows=tuple(_row(case) for case in task.cases),
        notes=(
            "seconds of importing the framework, of building, and of the first step, which traces and "
            "compiles; median over launches",
        ),
    )


def _row(case: CaseLaunches) -> tuple[Cell, ...]:
    starts = [record.start_up for record in case.finished if record.start_up]
    if not starts:
        return (Cell(case.label), Cell(case.absence), Cell("–"), Cell("–"))
    figures = zip(*((s.import_s, s.build_s, s.first_step_s) for s in starts), strict=True)
    return (Cell(case.label), *(Cell(f"{statistics.median(seconds):,.2f}") for seconds in figures))
