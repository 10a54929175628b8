"""The notes about warnings under a table: one for each warning, or for each of its different evidences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.analysis.launches import CaseLaunches, TaskLaunches
from bench.analysis.warning_rules import RUN_WARNINGS
from bench.records.record import MeasurementWarning


@dataclass(frozen=True)
class WarningNote:
    """A warning of some cases that have the same evidence; `where` names them, or says that all have it."""

    name: str
    where: str
    cases: tuple[str, ...]
    evidence: str
    advice: str


def list_warning_notes(task: TaskLaunches) -> Iterator[str]:
    """List the warnings of a task as notes of a table, see `group_warnings`."""
    for note in group_warnings(task):
        yield f"warning {note.name}, {note.where}, {note.evidence}; {note.advice}"


def group_warnings(task: TaskLaunches) -> Iterator[WarningNote]:
    """List each warning with the evidence of a case's first launch and the number of launches with it.

    Cases with the same evidence, as of a state of the whole machine, share a note. The warning about the offline suite
    is left out: it is the banner.
    """
    names = dict.fromkeys(warning.name for case in task.cases for record in case.records for warning in record.warnings)
    for name in names:
        if name == "offline-suite":
            continue
        notes: dict[tuple[str, str], list[CaseLaunches]] = {}
        for case in task.cases:
            if raised := [(r.launch, warning) for r in case.records for warning in r.warnings if warning.name == name]:
                notes.setdefault(_describe(case, raised), []).append(case)
        for (evidence, advice), cases in notes.items():
            everywhere = len(cases) == len(task.cases) > 1
            labels = tuple(case.label for case in cases)
            yield WarningNote(name, "all cases" if everywhere else ", ".join(labels), labels, evidence, advice)


def _describe(case: CaseLaunches, raised: list[tuple[int, MeasurementWarning]]) -> tuple[str, str]:
    """Describe how many launches of a case have a warning, with the first one's evidence; and give its advice.

    A warning about the case as a whole is in all of its launches, so their number says nothing.
    """
    first, warning = raised[0]
    evidence = ", ".join(other.evidence for launch, other in raised if launch == first)
    if warning.name in RUN_WARNINGS:
        return evidence, warning.advice
    return f"{len({launch for launch, _ in raised})} of {len(case.records)} launches: {evidence}", warning.advice
