"""The verdict of the proof of sameness, from all checks that are possible with the evidence."""

from __future__ import annotations

from backends.task import Task
from bench.parity.checks import (
    Arrays,
    check_case_itself,
    check_frozen_tensors,
    compare_outcomes,
    compare_with_reference,
    compute_difference,
    make_check,
)
from bench.parity.tolerances import FORWARD, PIPELINE, REDUCED_PRECISION, REFERENCE
from bench.records.record import Proof


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
    exact = FORWARD if cached else PIPELINE
    # The graph of a batch of another size may fuse other operations, which changes the number of roundings.
    checks = check_case_itself(mine, task, REDUCED_PRECISION.get(precision, exact))
    if "cached_features" in mine:
        difference = compute_difference(mine["cached_features"], mine["features"])
        checks.append(
            make_check(
                "cached features",
                difference,
                REDUCED_PRECISION.get(precision, FORWARD),
                "read from the cache, of the same images",
            )
        )
    if reference is not None and reference is not mine:
        checks += compare_with_reference(mine, reference, task, precision)
    if outcome is not None:
        checks += check_frozen_tensors(outcome[0], task, "frozen after fine-tune")
        if reference is not None and reference is not mine and outcome[1] is not None:
            checks += compare_outcomes(outcome[0], outcome[1], task, precision)
    failed = [check for check in checks if not check.passed]
    if failed:
        first = failed[0]
        status, reason = "failed", f"{first.name}: {first.difference:.2g} > {first.tolerance:.2g} ({first.detail})"
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
