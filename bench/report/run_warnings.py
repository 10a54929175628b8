"""The warnings of a run, each once, with the most important first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.analysis.launches import CaseLaunches, TaskLaunches, group_by_task
from bench.analysis.warning_rules import IMPORTANCE
from bench.records.record import MeasurementWarning, Record

#: A warning that names more cases than these names their number.
MOST_NAMES = 2


@dataclass(frozen=True)
class RunWarning:
    """A warning of a run.

    Attributes:
        name: of its rule.
        where: the cases that have it; `whole run` where all have.
        evidence: of the first launch that has it.
        advice: what to do.
    """

    name: str
    where: str
    evidence: str
    advice: str

    @property
    def text(self) -> str:
        """All of it in one line."""
        return f"{self.name}, {self.where}: {self.evidence}; {self.advice}"


def list_run_warnings(records: Sequence[Record]) -> list[RunWarning]:
    """List the warnings of a run by importance; the one about the offline suite is left out: it is the banner."""
    tasks = group_by_task(records)
    raised: dict[str, list[tuple[TaskLaunches, CaseLaunches, MeasurementWarning]]] = {}
    for task in tasks:
        for case in task.cases:
            for warning in {one.name: one for record in reversed(case.records) for one in record.warnings}.values():
                raised.setdefault(warning.name, []).append((task, case, warning))
    raised.pop("offline-suite", None)
    ranks = {name: rank for rank, name in enumerate(IMPORTANCE)}
    return [
        RunWarning(
            name=name,
            where=_describe_place(tasks, [(task, case) for task, case, _ in raised[name]]),
            evidence=raised[name][0][2].evidence,
            advice=raised[name][0][2].advice,
        )
        for name in sorted(raised, key=lambda name: ranks.get(name, len(ranks)))
    ]


def _describe_place(tasks: Sequence[TaskLaunches], places: Sequence[tuple[TaskLaunches, CaseLaunches]]) -> str:
    """Describe where a warning was raised: the whole run, all cases of a task, or some cases."""
    if len(places) == sum(len(task.cases) for task in tasks):
        return "whole run"
    affected = {id(task): task for task, _ in places}.values()
    if len(places) == sum(len(task.cases) for task in affected):
        return "all of " + ", ".join(dict.fromkeys(task.task.name for task in affected))
    labels = list(dict.fromkeys(case.label for _, case in places))
    return ", ".join(labels) if len(labels) <= MOST_NAMES else f"{len(labels)} cases"
