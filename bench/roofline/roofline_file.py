"""The file of a roofline: what was measured, with the environment, in `results/<UTC>-<suite>-roofline/`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backends.backbones import BACKBONES
from backends.exported.exported_backbone import is_exported
from backends.task import STORED, Task, Variant
from backends.task_entries import DATASETS
from bench.analysis.launches import group_by_task
from bench.errors import UserError
from bench.networks import exported_checkpoints
from bench.plan.plan import Plan
from bench.plan.prepared_task import PreparedTask
from bench.records import store
from bench.records.checksummed_json import compute_checksum
from bench.records.private_paths import shorten_all, shorten_command
from bench.records.record import Record
from bench.records.result_kinds import FOLDERS
from bench.report.exporters import build_environment
from bench.report.tables.warning_notes import list_warning_notes
from bench.roofline.achieved_rates import Roofline, compute_roofline
from bench.roofline.device_peaks import Peak
from bench.roofline.rate_measurement import CaseMeasurement
from bench.roofline.roofline_advice import advise
from bench.worker.step_work import Step

SCHEMA = 1
#: The folder of the file, in the folder of the roofline.
FOLDER = FOLDERS["roofline"]
FILE = f"{FOLDER}/roofline.json"


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

    @property
    def notes(self) -> list[str]:
        """The warnings about all cases, as lines."""
        return [note for task in group_by_task(self.records) for note in list_warning_notes(task)]


@dataclass(frozen=True)
class StoredTask:
    """What the tables of a task are made from again.

    Attributes:
        rooflines: of the cases whose workers finished.
        deaths: as in `TaskMeasurement`.
        notes: warnings about all cases.
        advice: what to do about each case's bound.
        launches: how often each case was started.
    """

    rooflines: Sequence[Roofline]
    deaths: Sequence[tuple[str, str, str]]
    notes: Sequence[str]
    advice: Sequence[str]
    launches: int = 0


@dataclass(frozen=True)
class StoredRoofline:
    """What a roofline's tables are made from again.

    Attributes:
        about: the environment, with the command in `run`.
        device: `cpu`, `cuda` or `cuda:N`.
        peak: of the device, or why it is not known.
    """

    about: Mapping[str, Any]
    device: str
    peak: Peak | str
    tasks: Sequence[StoredTask]


def create_folder(results: Path, suite: str) -> Path:
    """Create the folder of a roofline, in which its file can be written.

    Raises:
        UserError: it cannot be created.
    """
    return store.create_run(results, f"{Path(suite).stem}-roofline", datetime.now(UTC), FOLDER)


def write(
    folder: Path, plan: Plan, about: Mapping[str, object], peak: Peak | str, tasks: Sequence[TaskMeasurement]
) -> None:
    """Write everything that was measured so far.

    Raises:
        UserError: a full disk, a folder that is not writable.
    """
    missing = {"skipped": shorten_all(plan.skipped), "banner": shorten_all(plan.banner)}
    command = shorten_command(sys.argv[1:])
    run = {"suite": plan.suite.model_dump(mode="json"), **missing, "command": command}
    content = {
        "schema_version": SCHEMA,
        "environment": build_environment({**about, "run": run}, [record for task in tasks for record in task.records]),
        "device": plan.default.device,
        "peak": asdict(peak) if isinstance(peak, Peak) else peak,
        "tasks": [_describe_task(task) for task in tasks],
    }
    content = json.loads(json.dumps(content))  # as it is read, for the checksum
    text = json.dumps({**content, "sha256": compute_checksum(content)}, indent=1)
    store.write_text(folder / FILE, text + "\n", finished_in=folder)


def read(folder: Path) -> StoredRoofline:
    """Read a roofline.

    Raises:
        UserError: the file is cut off, edited, or of another version.
    """
    try:
        content = _parse((folder / FILE).read_bytes())
        peak = content["peak"]
        return StoredRoofline(
            content["environment"],
            content["device"],
            peak if isinstance(peak, str) else Peak(**peak),
            [_read_task(task) for task in content["tasks"]],
        )
    except (ValueError, TypeError, KeyError, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UserError(f"the roofline {folder} cannot be shown: {FILE}: {reason}: run bench roofline again") from None


def _parse(text: bytes) -> dict[str, Any]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("it is cut off or not JSON") from None
    checksum = content.pop("sha256", None) if isinstance(content, dict) else None
    if compute_checksum(content) != checksum:
        raise ValueError("its checksum does not fit, so it was changed after it was measured")
    if content["schema_version"] != SCHEMA:
        raise ValueError(f"its schema {content['schema_version']} is not the {SCHEMA} that this version reads")
    return content


def _read_task(content: Mapping[str, Any]) -> StoredTask:
    task, cases = Task.model_validate(content["task"], context=STORED), content["cases"]
    exported = is_exported(task.backbone)
    if exported and not exported_checkpoints.learn_kept_network(task):
        raise ValueError(f"the graph of its backbone {task.backbone} is not in the home any more")
    tables = (("backbone", task.backbone, BACKBONES), ("data set", task.dataset, DATASETS))
    for what, name, table in tables[1:] if exported else tables:
        if name not in table:  # the rates are computed from its shapes
            raise ValueError(f"its {what} {name} is in a package that is not installed here: install it, or ask for it")
    measured = [
        CaseMeasurement(
            one["backend"],
            Variant.model_validate(one["variant"]),
            one["seconds"],
            one["convolution_seconds"],
            failure=one["failure"],
        )
        for one in cases
    ]
    return StoredTask(
        [compute_roofline(Step(task, one.variant), one) for one in measured if one.failure is None],
        [(one.backend, one.variant.name, one.failure) for one in measured if one.failure],
        content["notes"],
        [one["advice"] for one in cases if one.get("advice")],
        max((len(rounds) for one in measured for rounds in one.seconds.values()), default=0),
    )


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
        "notes": measured.notes,
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
            "advice": advise(roofline),
        }
    return found
