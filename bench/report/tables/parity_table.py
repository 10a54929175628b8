"""The parity table: the outcome of every case's proof of sameness."""

from __future__ import annotations

from bench.analysis.launches import CaseLaunches, TaskLaunches
from bench.records.record import Check
from bench.report.tables.table import Cell, Column, Table


def parity_table(task: TaskLaunches) -> Table:
    """One column per case, one row per check: the largest difference over the launches, and what is allowed."""
    checks = list(dict.fromkeys(check.name for case in task.cases for check in case.checks))
    allowed = {check.name: check.tolerance for case in task.cases for check in case.checks}
    rows = [
        _row("verdict", "", [_verdict(case) for case in task.cases]),
        *(_row(name, f"{allowed[name]:.1g}", [_difference(case, name) for case in task.cases]) for name in checks),
        _row("hash of the weights", "equal", [_hash(case, "weights_hash") for case in task.cases]),
        _row("hash of the image order", "equal", [_hash(case, "order_hash") for case in task.cases]),
        _row("seconds it took", "", [_seconds(case) for case in task.cases]),
    ]
    return Table(
        title=f"Parity: {task.name}",
        columns=(
            Column("check", figures=False),
            Column("allowed"),
            *(Column(case.label) for case in task.cases),
        ),
        rows=tuple(rows),
        notes=("largest difference from PyTorch fp32 eager, which is the reference", *_failures(task)),
    )


def _row(name: str, allowed: str, cells: list[str]) -> tuple[Cell, ...]:
    return (Cell(name), Cell(allowed), *(Cell(cell, bold=cell.endswith("FAILED")) for cell in cells))


def _verdict(case: CaseLaunches) -> str:
    if case.proof is None:
        return "no proof" if case.finished else case.absence
    if case.proof.comparable:
        return case.proof.status
    return f"not comparable: {case.proof.status}"


def _difference(case: CaseLaunches, name: str) -> str:
    check: Check | None = next((check for check in case.checks if check.name == name), None)
    if check is None:
        return "–"
    shown = f"{check.difference:.1e}" if check.difference else "0"
    return shown if check.passed else f"{shown} FAILED"


def _hash(case: CaseLaunches, name: str) -> str:
    return str(getattr(case.proof, name)) if case.proof else "–"


def _seconds(case: CaseLaunches) -> str:
    return f"{sum(proof.seconds for proof in case.proofs):,.1f}" if case.proof else "–"


def _failures(task: TaskLaunches) -> list[str]:
    notes = []
    for case in task.cases:
        if case.proof and not case.proof.comparable:
            notes.append(f"{case.label}: {case.proof.reason}")
    return notes
