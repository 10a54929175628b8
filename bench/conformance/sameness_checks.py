"""The checks of sameness: the same figures twice, under other seeds, as the reference, and not with a planted fault."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from backends.task import Task
from bench.conformance.checked_backend import CheckedBackend, gather, left_out_if_refused
from bench.conformance.items import PROOFS, LeftOut, NotChecked
from bench.conformance.planted_faults import FAULTS
from bench.conformance.small_tasks import TASKS, VARIANT
from bench.parity.sameness_proof import prove
from bench.worker.evidence import Arrays

#: The file that says why there is no reference.
NO_REFERENCE = "no reference.txt"
#: The functions that seed the random generators of frameworks, by module.
SEEDERS = {"torch": "manual_seed", "tensorflow": "random.set_seed", "keras": "utils.set_random_seed"}


def check_determinism(checked: CheckedBackend) -> str | None:
    """Check that the same trainer computes the same evidence again."""
    return _find_difference(gather(checked.trainer, checked.inputs), checked.evidence, "the second time")


def check_randomness(checked: CheckedBackend) -> str | None:
    """Check that seeds are not used: by the calls, by the state of NumPy, and by other seeds."""
    if checked.calls.drawn:
        return f"it calls {_join(checked.calls.drawn)}"
    first = checked.evidence
    _seed(7)
    state = np.random.get_state(legacy=False)
    found = gather(checked.build(checked.task), checked.inputs)
    if str(np.random.get_state(legacy=False)) != str(state):
        return "building and training changes the state of NumPy's random numbers"
    return _find_difference(found, first, "built under other seeds")


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    for name, function in SEEDERS.items():
        found: Any = sys.modules.get(name)
        for part in function.split("."):
            found = getattr(found, part, None)
        if found is not None:
            found(seed)


def _find_difference(found: Arrays, before: Arrays, when: str) -> str | None:
    for name, array in before.items():
        if not np.array_equal(array, found[name]):
            return f"{when}, {name} has other values"
    return None


def check_proof(checked: CheckedBackend, item: str, folder: Path) -> str | None:
    """Check that a task is trained as the reference trains it.

    Args:
        item: a key of `PROOFS`.
        folder: with the reference's evidence.
    """
    task = TASKS[PROOFS[item]]
    if task is checked.task:
        return explain_proof(checked.evidence, task, folder)
    with left_out_if_refused():
        trainer = checked.build(task)
    return explain_proof(gather(trainer, checked.make_inputs(task)), task, folder)


def check_cached_proof(checked: CheckedBackend, folder: Path) -> str | None:
    """Check that the head trains on cached features as the reference trains it on images."""
    with left_out_if_refused():
        trainer = checked.build(checked.task, VARIANT.model_copy(update={"features": "cached"}))
    found = gather(trainer, checked.inputs, cached=True)
    return explain_proof(found, checked.task, folder, cached=True)


def explain_proof(mine: Arrays, task: Task, folder: Path, cached: bool = False) -> str | None:
    """Say which check of the proof of sameness fails; None if it is proven.

    Args:
        mine: the backend's evidence.
        folder: with the reference's, or with the reason why there is none.

    Raises:
        LeftOut: without a reference, nothing that needs none fails.
    """
    reason = folder / NO_REFERENCE
    reference = None
    if not reason.is_file():
        with np.load(folder / f"reference {task.name}.npz") as arrays:
            reference = dict(arrays)
    proof = prove(mine, reference, task, None, cached=cached)
    if proof.status == "unproven":
        raise LeftOut(f"unproven: {reason.read_text()}")
    return None if proof.status == "proven" else proof.reason


def check_fault(checked: CheckedBackend, item: str) -> str | None:
    """Check that the proof finds a planted fault. The reference is the backend's own evidence without it, so that
    nothing else can fail.

    Args:
        item: a key of `FAULTS`.
    """
    fault = FAULTS[item]
    sound = prove(checked.evidence, dict(checked.evidence), checked.task, None)
    broken = {check.name for check in sound.checks if not check.passed}
    if broken & set(fault.named):
        raise NotChecked(f"{sound.reason} without a fault, too")
    faulty = fault.build(checked.backend, checked.trainer, checked.inputs)
    proof = prove(gather(faulty, checked.inputs), checked.evidence, checked.task, None)
    failed = {check.name for check in proof.checks if not check.passed}
    if failed & set(fault.named):
        return None
    others = f"; it fails only in {_join(sorted(failed))}" if failed else ""
    return f"the proof passes with it: {' and '.join(fault.named)} did not change{others}"


def _join(names: Mapping[str, None] | list[str]) -> str:
    shown = list(names)
    return ", ".join(shown[:3]) + (f" and {len(shown) - 3} more" if len(shown) > 3 else "")
