"""The parity table: the outcome of every case's proof of sameness."""

from __future__ import annotations

from bench.analysis.launches import CaseLaunches, TaskLaunches
from bench.records.record import Check
from bench.report.tables.decoding_notes import list_decoding_notes
from bench.report.tables.table import Cell, Column, Table

#: Digits of a hash that the table shows.
HASH_DIGITS = 12


def build_parity_table(task: TaskLaunches) -> Table:
    """Build the table: one row per check with its tolerance and, per case, the largest difference over launches."""
    checks = list(dict.fromkeys(check.name for case in task.cases for check in case.checks))
    tolerances = {check.name: check.tolerance for case in task.cases for check in case.checks}
    rows = [
        _row("verdict", "", [_verdict(case) for case in task.cases]),
        *(_row(name, f"{tolerances[name]:.1g}", [_difference(case, name) for case in task.cases]) for name in checks),
        _row("hash of the weights", "equal", [_hash(case, "weights_hash") for case in task.cases]),
        _row("hash of the image order", "equal", [_hash(case, "order_hash") for case in task.cases]),
        _row("seconds of the proof", "", [_seconds(case) for case in task.cases]),
    ]
    return Table(
        title=f"Parity: {task.name}",
        columns=(
            Column("check", figures=False),
            Column("tolerance"),
            *(Column(case.label) for case in task.cases),
        ),
        rows=tuple(rows),
        notes=(
            "largest difference from the reference, PyTorch in fp32, over all launches",
            *list_decoding_notes(task),
            *_failures(task),
        ),
    )


def _row(name: str, tolerance: str, cells: list[str]) -> tuple[Cell, ...]:
    return (Cell(name), Cell(tolerance), *(Cell(cell, bold=cell.endswith("FAILED")) for cell in cells))


def _verdict(case: CaseLaunches) -> str:
    if case.proof is None:
        return "no proof" if case.finished else case.placeholder
    if case.proof.comparable:
        return case.proof.status
    return f"not comparable: {case.proof.status}"


def _difference(case: CaseLaunches, name: str) -> str:
    check: Check | None = next((check for check in case.checks if check.name == name), None)
    if check is None:
        return "–"
    text = f"{check.difference:.1e}" if check.difference else "0"
    return text if check.passed else f"{text} FAILED"


def _hash(case: CaseLaunches, name: str) -> str:
    return str(getattr(case.proof, name))[:HASH_DIGITS] if case.proof else "–"


def _seconds(case: CaseLaunches) -> str:
    return f"{sum(proof.seconds for proof in case.proofs):,.1f}" if case.proof else "–"


def _failures(task: TaskLaunches) -> list[str]:
    notes = []
    for case in task.cases:
        if case.proof and not case.proof.comparable:
            notes.append(f"{case.label}: {case.proof.reason}")
    return notes
