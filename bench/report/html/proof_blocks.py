"""The proof of sameness of a task as ticks."""

from __future__ import annotations

from bench.analysis.launches import CaseLaunches, TaskLaunches
from bench.report.html.page import Tick, TickRow, Ticks


def build_ticks(task: TaskLaunches) -> Ticks:
    """Build a row of ticks per case: one per check, with the worst difference over launches and its tolerance."""
    return Ticks(
        title="Proof of sameness",
        how_to_read=(
            "A tick is a check that the case trains the same as PyTorch in fp32, within a tolerance; its name and its "
            "figures appear where you point, and all stand under Parity. Only cases that pass all checks are compared."
        ),
        rows=tuple(_build_row(case) for case in task.cases),
    )


def _build_row(case: CaseLaunches) -> TickRow:
    ticks = tuple(
        Tick(check.name, check.passed, f"difference {check.difference:.2g}, tolerance {check.tolerance:.1g}")
        for check in case.checks
    )
    return TickRow(case.label, _describe_outcome(case, ticks), ticks)


def _describe_outcome(case: CaseLaunches, ticks: tuple[Tick, ...]) -> str:
    if case.proof is None:
        return "no proof" if case.finished else case.placeholder
    if not case.proof.comparable:
        return f"not comparable: {case.proof.reason or case.proof.status}"
    if case.proof.status == "reference":
        return "the reference"
    return f"{case.proof.status}: {sum(tick.passed is True for tick in ticks)} of {len(ticks)} checks"
