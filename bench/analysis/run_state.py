"""How far a run has got: derived from its records alone, so that it holds for a run that was killed, too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bench.analysis.launches import find_widest_half_width, group_by_task
from bench.analysis.warnings import MIN_LAUNCHES
from bench.records.record import Record


@dataclass(frozen=True)
class RunState:
    """What a run has measured, and whether that is all that it was to measure.

    Attributes:
        tasks, cases: names, in the order of the run; a case is `backend/variant`.
        complete: the launches that have every case of their task, of the task that has the fewest.
        planned: the launches of the suite; None where the records do not say.
        died: cases of launches whose worker died.
        finished: whether nothing is left to measure.
    """

    tasks: tuple[str, ...]
    cases: tuple[str, ...]
    complete: int
    planned: int | None
    died: int
    finished: bool


def describe_state(records: Sequence[Record], planned_tasks: int | None = None) -> RunState:
    """Describe how far the run of these records has got.

    Args:
        records: of one run; at least one.
        planned_tasks: how many tasks the run was to measure; by default as many as its records say that it prepared.
    """
    description: Any = records[0].about.get("run") or {}
    suite: Mapping[str, Any] = description.get("suite") or {}
    planned = suite.get("launches")
    limit = suite.get("most_minutes")
    by_position: dict[int, list[Record]] = {}
    for record in records:
        by_position.setdefault(record.position, []).append(record)
    complete = {position: count_complete_launches(found) for position, found in by_position.items()}
    tasks = planned_tasks or len(description.get("checkpoints") or ()) or len(by_position)
    done = len(by_position) >= tasks and all(
        _is_done(found, complete[position], planned, limit) for position, found in by_position.items()
    )
    return RunState(
        tasks=tuple(dict.fromkeys(one.task.name for one in sorted(records, key=lambda one: one.position))),
        cases=tuple(dict.fromkeys(case.label for task in group_by_task(records) for case in task.cases)),
        complete=min(complete.values()),
        planned=planned,
        died=sum(record.failure is not None for record in records),
        finished=done and not _is_too_wide(records, description),
    )


def count_complete_launches(records: Iterable[Record]) -> int:
    """Count the launches of one task that have every case that any of its launches has."""
    by_launch: dict[int, set[str]] = {}
    for record in records:
        by_launch.setdefault(record.launch, set()).add(record.case)
    cases = set().union(*by_launch.values())
    return sum(found >= cases for found in by_launch.values())


def _is_done(records: Sequence[Record], complete: int, planned: int | None, limit: float | None) -> bool:
    if planned is None or complete >= planned or all(record.failure for record in records):
        return True
    return limit is not None and complete >= MIN_LAUNCHES and _estimate_seconds(records) > 60 * limit


def _estimate_seconds(records: Sequence[Record]) -> float:
    """Estimate the seconds from the first start of a launch to the last one's end, which no record has.

    The last launch is taken to be as long as one is on average.
    """
    starts = sorted({datetime.fromisoformat(record.started) for record in records})
    between = (starts[-1] - starts[0]).total_seconds()
    return between * len(starts) / (len(starts) - 1) if len(starts) > 1 else 0.0


def _is_too_wide(records: Sequence[Record], description: Mapping[str, Any]) -> bool:
    """Whether a ratio's interval is still wider than `--until` asks for; with a time limit it may stay so."""
    until = description.get("until")
    if until is None or "--max-time" in str(description.get("command")):
        return False
    reference = description.get("relative_to", "pytorch")
    half_widths = (find_widest_half_width(task, reference) for task in group_by_task(records))
    return any(width > until for width in half_widths if width is not None)
