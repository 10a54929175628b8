"""The parity table: the outcome of every case's proof of sameness."""

from __future__ import annotations

from bench.record import Check
from bench.tables.launches import CaseLaunches, TaskLaunches
from bench.tables.table import Cell, Column, Table

#: Digits of a hash that are shown.
SHORT = 8


def parity_table(task: TaskLaunches) -> Table:
    """One row per case; of each check, the largest difference over its launches."""
    notes = [
        "largest difference ≤ what is allowed, against PyTorch fp32 eager",
        *(
            f"{case.label}: {check.name}: {check.detail}"
            for case in task.cases
            for check in case.checks
            if not check.passed and check.detail
        ),
    ]
    return Table(
        title=f"Parity: {task.facts}",
        columns=(
            Column("case", figures=False),
            Column("status", figures=False),
            Column("largest differences", figures=False),
            Column("weights", figures=False),
            Column("order", figures=False),
            Column("seconds"),
        ),
        rows=tuple(_row(case) for case in task.cases),
        notes=tuple(notes),
    )


def _row(case: CaseLaunches) -> tuple[Cell, ...]:
    proof = case.proof
    if proof is None:
        status = case.absence if not case.finished else "no proof"
        return (Cell(case.label), Cell(status), *(Cell("–") for _ in range(4)))
    status = proof.status if proof.comparable or not proof.reason else f"{proof.status}: {proof.reason}"
    return (
        Cell(case.label),
        Cell(status),
        Cell("\n".join(_difference(check) for check in case.checks) or "–"),
        Cell(proof.weights_hash[:SHORT] or "–"),
        Cell(proof.order_hash[:SHORT] or "–"),
        Cell(f"{sum(p.seconds for p in case.proofs):,.1f}"),
    )


def _difference(check: Check) -> str:
    if check.passed:
        return f"{check.name} {check.difference:.1e} ≤ {check.tolerance:.0e}"
    return f"{check.name} {check.difference:.1e} > {check.tolerance:.0e} FAILED"
