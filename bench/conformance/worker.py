"""The process in which a backend is checked: `python -m bench.conformance.worker NAME FOLDER CHANNEL ITEMS`.

It reads `images.npz` in the folder, and writes the results of the items to `results.jsonl`, a line each. Without
items it is the reference's, and leaves the evidence for the proofs.
It ends as soon as the other end of CHANNEL, a descriptor, is closed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

import numpy as np

import backends
from bench.conformance import contract_checks, import_checks, resource_checks, sameness_checks
from bench.conformance.checked_backend import CheckedBackend, gather
from bench.conformance.forbidden_calls import ForbiddenCalls
from bench.conformance.items import ITEMS, PROOFS, RAISED, LeftOut, NotChecked, Result
from bench.conformance.planted_faults import FAULTS
from bench.conformance.small_tasks import TASKS, VARIANT, make_inputs
from bench.machine.hidden_packages import hide_packages
from bench.worker.__main__ import end_process
from bench.worker.lifeline import Lifeline

#: The file of the results.
RESULTS = "results.jsonl"
#: The items that all others need.
NEEDED = ("import", "build")

Check = Callable[[CheckedBackend], str | None]


def list_checks(folder: Path) -> dict[str, Check]:
    """The checks by item, in the order in which they are made."""
    return {
        "import": import_checks.check_import,
        "build": _build,
        "frameworks": import_checks.check_frameworks,
        "types": contract_checks.check_types,
        "reset": contract_checks.check_reset,
        "batches": contract_checks.check_batches,
        "training": contract_checks.check_training,
        "errors": contract_checks.check_errors,
        "batches on the device": contract_checks.check_device_batches,
        "features": contract_checks.check_features,
        "kernels": contract_checks.check_kernels,
        "determinism": sameness_checks.check_determinism,
        "randomness": sameness_checks.check_randomness,
        **{item: partial(sameness_checks.check_proof, item=item, folder=folder) for item in PROOFS},
        "proof: cached features": partial(sameness_checks.check_cached_proof, folder=folder),
        **{item: partial(sameness_checks.check_fault, item=item) for item in FAULTS},
        "memory": resource_checks.check_memory,
        "close": resource_checks.check_closing,
        "rest": resource_checks.check_rest,
        # What the checks before have shown.
        "inputs": CheckedBackend.find_altered_inputs,
        "clock": lambda checked: _find_call(checked.calls.clock, "reads the clock: "),
        "files": lambda checked: _find_call(checked.calls.files, ""),
    }


def _build(checked: CheckedBackend) -> str | None:
    checked.trainer = checked.backend.build(checked.task, VARIANT, checked.inputs.checkpoint, checked.inputs.head)
    return None


def _find_call(calls: dict[str, None], verb: str) -> str | None:
    return f"it {verb}{'; '.join(list(calls)[:3])}" if calls else None


def check(checked: CheckedBackend, folder: Path, wanted: Collection[str]) -> Iterator[Result]:
    """Make the wanted checks, and those that they need; an error in one of them is its result."""
    for name, find_problem in list_checks(folder).items():
        if name not in (*NEEDED, *wanted):
            continue
        began = time.monotonic()
        what, fix = ITEMS[name]
        try:
            problem = find_problem(checked)
            made = Result(name, "failed", problem, fix) if problem else Result(name, "passed", what)
        except LeftOut as reason:
            made = Result(name, "left out", str(reason))
        except NotChecked as reason:
            made = Result(name, "not checked", str(reason))
        except Exception as error:
            first = (str(error).strip().splitlines() or [""])[0]
            made = Result(name, "failed", f"raised {type(error).__name__}: {first}", RAISED.get(name, fix))
        yield made._replace(seconds=round(time.monotonic() - began, 2))


def main(name: str, folder: Path, items: Collection[str]) -> None:
    """Check a backend, or leave the reference's evidence."""
    entry = backends.REGISTRY[name]
    hide_packages(entry.hides, entry.packages)
    with np.load(folder / "images.npz") as arrays:
        images, labels = arrays["images"], arrays["labels"]
    if not items:
        backend = backends.load(name)
        for task in TASKS.values():
            inputs = make_inputs(task, images, labels)
            trainer = backend.build(task, VARIANT, inputs.checkpoint, inputs.head)
            np.savez(folder / f"reference {task.name}.npz", allow_pickle=False, **gather(trainer, inputs))
        return
    calls = ForbiddenCalls(entry.module.partition(".")[0])
    checked = CheckedBackend(name, images, labels, calls)
    with (folder / RESULTS).open("a", encoding="utf-8", buffering=1) as results:
        for result in check(checked, folder, items):
            results.write(json.dumps(result._asdict()) + "\n")


if __name__ == "__main__":
    lifeline = Lifeline(int(sys.argv[3]), Path(sys.argv[2]))
    try:
        main(sys.argv[1], Path(sys.argv[2]), sys.argv[4:])
    finally:
        lifeline.finish()
    end_process(0)
