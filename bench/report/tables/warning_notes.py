"""The notes about warnings under a table: one for each warning and case."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis.launches import TaskLaunches


def list_warning_notes(task: TaskLaunches) -> Iterator[str]:
    """List each warning once per case, with the evidence of its first launch and the number of launches with it."""
    for case in task.cases:
        for name in dict.fromkeys(warning.name for record in case.records for warning in record.warnings):
            raised = [(r.launch, warning) for r in case.records for warning in r.warnings if warning.name == name]
            first, warning = raised[0]
            evidence = ", ".join(other.evidence for launch, other in raised if launch == first)
            where = f"{case.label}, {len({launch for launch, _ in raised})} of {len(case.records)} launches"
            yield f"warning {name}, {where}: {evidence}; {warning.advice}"
