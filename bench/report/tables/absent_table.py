"""The table of what was not measured, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from bench.analysis.launches import TaskLaunches
from bench.report.tables.table import Cell, Column, Table

TITLE = "Not measured"


def build_absent_table(tasks: Iterable[TaskLaunches], skipped: Mapping[str, str]) -> Table | None:
    """Build the table of skipped backends and failed launches; None if there are none.

    Args:
        tasks: all tasks of the run.
        skipped: reasons by backend.
    """
    rows: list[tuple[Cell, ...]] = [
        (Cell(name), Cell("–"), Cell("skipped"), Cell(reason)) for name, reason in skipped.items()
    ]
    notes = []
    for task in tasks:
        for case in task.cases:
            for record in case.failed:
                if record.failure is None:
                    continue
                outcome = f"launch {record.launch} failed in {record.failure.phase}"
                texts = (case.label, task.name, outcome, record.failure.reason)
                rows.append(tuple(Cell(text) for text in texts))
                if record.failure.last_lines:
                    output = "\n".join(record.failure.last_lines)
                    notes.append(f"{case.label}, launch {record.launch}, last lines of its output:\n{output}")
    if not rows:
        return None
    return Table(
        title=TITLE,
        columns=tuple(Column(name, figures=False) for name in ("case", "task", "what happened", "why")),
        rows=tuple(rows),
        notes=tuple(notes),
    )
