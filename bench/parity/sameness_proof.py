"""The verdict of the proof of sameness, from all checks that are possible with the evidence."""

from __future__ import annotations

from typing import Literal

from backends.task import Task
from bench.parity.checks import (
    Arrays,
    check_case_itself,
    check_devices,
    check_frozen_tensors,
    compare_outcomes,
    compare_with_reference,
    compute_difference,
    compute_rounding,
    make_check,
)
from bench.parity.tolerances import FORWARD, PIPELINE, REDUCED_PRECISION, REFERENCE, get_forward_tolerance
from bench.records.record import Check, Proof

Status = Literal["proven", "reference", "failed", "unproven"]


def prove(
    mine: Arrays,
    reference: Arrays | None,
    task: Task,
    outcome: tuple[Arrays, Arrays | None] | None,
    precision: str = "fp32",
    cached: bool = False,
) -> Proof:
    """Make all checks that are possible with the evidence, and conclude from them.

    Args:
        mine, reference: the contents of two files `proof.npz`; without a reference the case stays unproven.
        task: of the case.
        outcome: the contents of two files `fine_tune.npz`, if the fine-tune was run.
        precision: of the frozen forward; below fp32 the tolerances are larger.
        cached: whether the input pipeline reads cached features, which were extracted with another execution.
    """
    rounding = compute_rounding(reference)
    exact = get_forward_tolerance("fp32", task.backbone, FORWARD if cached else PIPELINE, rounding)
    # The graph of a batch of another size may fuse other operations, which changes the number of roundings.
    checks = check_case_itself(mine, task, REDUCED_PRECISION.get(precision, exact))
    checks += check_devices(mine, precision)
    if "cached_features" in mine:
        difference = compute_difference(mine["cached_features"], mine["features"])
        checks.append(
            make_check(
                "cached features",
                difference,
                get_forward_tolerance(precision, task.backbone, FORWARD, rounding),
                "read from the cache, of the same images",
            )
        )
    if reference is not None and reference is not mine:
        checks += compare_with_reference(mine, reference, task, precision)
    if outcome is not None:
        theirs = outcome[1] if reference is not None and reference is not mine else None
        checks += _check_fine_tune(outcome[0], theirs, task, precision)
    status: Status
    if mine is reference:
        status, reason = "reference", ""
    elif reference is None:
        status, reason = "unproven", f"no {REFERENCE[0]} reference to compare with"
    else:
        status, reason = "proven", ""
    proof = Proof(
        status=status,
        reason=reason,
        checks=tuple(checks),
        weights_hash=str(mine["weights_hash"]),
        order_hash=str(mine["order_hash"]),
        seconds=0.0,
    )
    return _fail_by_checks(proof)


def add_fine_tune(proof: Proof, mine: Arrays, reference: Arrays | None, task: Task, precision: str = "fp32") -> Proof:
    """Add the checks of a whole fine-tune to a proof that was made without one.

    Args:
        mine, reference: the contents of two files `fine_tune.npz`; None for the reference itself, or without one.
        task, precision: as in `prove`.
    """
    found = _check_fine_tune(mine, reference, task, precision)
    names = {check.name for check in found}
    kept = (check for check in proof.checks if check.name not in names)
    return _fail_by_checks(proof.model_copy(update={"checks": (*kept, *found)}))


def _check_fine_tune(mine: Arrays, reference: Arrays | None, task: Task, precision: str) -> list[Check]:
    checks = check_frozen_tensors(mine, task, "frozen after fine-tune")
    return checks + (compare_outcomes(mine, reference, task, precision) if reference is not None else [])


def _fail_by_checks(proof: Proof) -> Proof:
    """The proof as it is if all its checks passed; else it is `failed`, because of the first one that did not."""
    first = next((check for check in proof.checks if not check.passed), None)
    if first is None:
        return proof
    reason = f"{first.name}: {first.difference:.2g} > {first.tolerance:.2g} ({first.detail})"
    return proof.model_copy(update={"status": "failed", "reason": reason})
