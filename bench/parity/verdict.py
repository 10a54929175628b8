"""The verdict of the proof of sameness, from all checks that the evidence allows."""

from __future__ import annotations

from backends.task import Task
from bench.parity.checks import Arrays, check, checks_against, difference, intact, outcome_checks, own_checks
from bench.parity.tolerances import FORWARD, PIPELINE, REFERENCE, ROUNDED
from bench.records.record import Proof


def prove(
    mine: Arrays,
    reference: Arrays | None,
    task: Task,
    outcome: tuple[Arrays, Arrays | None] | None,
    precision: str = "fp32",
    cached: bool = False,
) -> Proof:
    """All checks that the evidence allows.

    Args:
        mine, reference: the contents of two `proof.npz`; no reference leaves the case unproven.
        task: says the batch-norm mode.
        outcome: the contents of the two `fine_tune.npz`, where the fine-tune was run.
        precision: of the frozen forward; below fp32 the tolerances are its own.
        cached: whether the pipeline is one of features that were extracted before, in a form of their own.
    """
    exact = FORWARD if cached else PIPELINE
    # A graph of another batch may fuse other operations, and rounds less often where it does.
    checks = own_checks(mine, task, ROUNDED.get(precision, exact))
    if "cached_features" in mine:
        apart = difference(mine["cached_features"], mine["features"])
        checks.append(check("cached features", apart, ROUNDED.get(precision, FORWARD), "as kept, of the same images"))
    if reference is not None and reference is not mine:
        checks += checks_against(mine, reference, task, precision)
    if outcome is not None:
        checks += intact(outcome[0], task, "frozen after fine-tune")
        if reference is not None and reference is not mine and outcome[1] is not None:
            checks += outcome_checks(outcome[0], outcome[1], task, precision)
    failed = [check for check in checks if not check.passed]
    if failed:
        worst = failed[0]
        status, reason = (
            "failed",
            f"{worst.name}: {worst.difference:.2g} > {worst.tolerance:.2g} ({worst.detail})",
        )
    elif mine is reference:
        status, reason = "reference", ""
    elif reference is None:
        status, reason = "unproven", f"no {REFERENCE[0]} reference to compare with"
    else:
        status, reason = "proven", ""
    return Proof(
        status=status,
        reason=reason,
        checks=tuple(checks),
        weights_hash=str(mine["weights_hash"]),
        order_hash=str(mine["order_hash"]),
        seconds=0.0,
    )
