"""The file of a roofline: what was measured, with the environment, in `results/rooflines/`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from bench.plan.plan import Plan
from bench.plan.prepared_task import PreparedTask
from bench.records import store
from bench.records.private_paths import shorten_all
from bench.records.record import Record
from bench.report.exporters import build_environment
from bench.roofline.achieved_rates import Roofline
from bench.roofline.rate_measurement import CaseMeasurement

SCHEMA = 1
#: The folder of the files, in the folder of results.
FOLDER = "rooflines"


@dataclass(frozen=True)
class TaskMeasurement:
    """What was measured of a task.

    Attributes:
        rooflines: of the cases whose workers finished.
        cases: all of them, in the same order.
        records: of all launches, with their warnings.
        stopped: what ended the measurement before all launches were made; None if nothing did.
    """

    prepared: PreparedTask
    rooflines: Sequence[Roofline]
    cases: Sequence[CaseMeasurement]
    records: Sequence[Record]
    stopped: KeyboardInterrupt | None = None

    @property
    def deaths(self) -> list[tuple[str, str, str]]:
        """Backend, variant and reason of each case whose worker died."""
        return [(one.backend, one.variant.name, one.failure) for one in self.cases if one.failure]


def choose_file(results: Path, suite: str) -> Path:
    """Choose the file; its folder is made.

    Raises:
        UserError: the folder cannot be made, or the file cannot be written.
    """
    folder = results / FOLDER
    store.make_folder(folder)
    file = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{quote(Path(suite).stem, safe='-_.=+@')}.json"
    store.check_writable(file)
    return file


def write(file: Path, plan: Plan, about: Mapping[str, object], tasks: Sequence[TaskMeasurement]) -> None:
    """Write everything that was measured so far.

    Raises:
        UserError: a full disk, a folder that is not writable.
    """
    missing = {"skipped": shorten_all(plan.skipped), "banner": shorten_all(plan.banner)}
    run = {"suite": plan.suite.model_dump(mode="json"), **missing}
    content = {
        "schema_version": SCHEMA,
        "environment": build_environment({**about, "run": run}, [record for task in tasks for record in task.records]),
        "tasks": [_describe_task(task) for task in tasks],
    }
    store.write_text(file, json.dumps(content, indent=1) + "\n")


def _describe_task(measured: TaskMeasurement) -> dict[str, object]:
    prepared = measured.prepared
    rooflines = {(one.backend, one.step.variant.name): one for one in measured.rooflines}
    return {
        "task": prepared.task.model_dump(mode="json"),
        "task_hash": prepared.task.hash,
        "dataset_fingerprint": prepared.dataset.fingerprint,
        "checkpoint_hash": prepared.checkpoint.sha256,
        "cases": [
            _describe_case(one, rooflines.get((one.backend, one.variant.name)), measured.records)
            for one in measured.cases
        ],
    }


def _describe_case(case: CaseMeasurement, roofline: Roofline | None, records: Sequence[Record]) -> dict[str, object]:
    """Describe a case: the seconds of its rounds by kind, launch and round, and the figures of the tables."""
    own = [one for one in records if (one.backend, one.variant.name) == (case.backend, case.variant.name)]
    found: dict[str, object] = {
        "backend": case.backend,
        "variant": case.variant.model_dump(mode="json"),
        "failure": case.failure,
        "seconds": dict(case.seconds),
        "convolution_seconds": [dict(launch) for launch in case.layers],
        "conditions": [one.conditions.model_dump(mode="json") if one.conditions else None for one in own],
        "warnings": [
            {"launch": one.launch, **warning.model_dump(mode="json")} for one in own for warning in one.warnings
        ],
    }
    if roofline:
        found |= {
            "rates": {kind: asdict(rate) for kind, rate in roofline.rates.items()},
            "steps": {kind: asdict(rate) for kind, rate in roofline.steps.items()},
            "best": asdict(roofline.best) if roofline.best else None,
            "bound": asdict(roofline.bound) if roofline.bound else None,
            "step_seconds": asdict(roofline.seconds) if roofline.seconds else None,
        }
    return found
