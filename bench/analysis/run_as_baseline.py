"""A run as a baseline, and how what would be measured now differs from one."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from backends.task import Task, Variant
from bench.errors import UserError
from bench.machine.environment import fingerprint
from bench.plan.suite import Suite
from bench.records import store
from bench.records.baseline import ALLOWED, Baseline, Case, Launch
from bench.records.launch_figures import Figures, name_of, of_record
from bench.records.record import Record

#: Options of a run that a baseline has no use for: the suite is kept itself, and paths are of one machine.
ELSEWHERE = ("suite", "data_dir", "checkpoint", "results")


@dataclass(frozen=True)
class Difference:
    """Something that decides a figure and is another now; `kind` is what `--allow` calls it, or `experiment`."""

    kind: str
    line: str


def of_run(name: str, run: Path, request: Mapping[str, Any], branch: str | None, fewest: int) -> Baseline:
    """The baseline that a run makes.

    Args:
        name: of the baseline.
        run: its folder.
        request: its options.
        branch: that it was measured on, where it is known.
        fewest: launches that a case must have.

    Raises:
        UserError: the run has no case with enough launches, or a suite of another version.
    """
    records, _ = store.read(run)
    by_case: dict[str, list[Record]] = {}
    for record in records:
        if record.failure is None and record.pipeline:
            by_case.setdefault(record.case, []).append(record)
    if not by_case:
        raise UserError(f"run {run.name} has no finished launch: name another with --run")
    if (least := min(len(launches) for launches in by_case.values())) < fewest:
        raise UserError(
            f"run {run.name} has {least} launches of a case, and a baseline needs {fewest}: "
            f"measure one with --launches {fewest} or more, or --suite standard"
        )
    about: Mapping[str, Any] = records[0].about
    git = about.get("git") or {}
    try:
        suite = Suite.model_validate(about["run"]["suite"])
    except ValidationError:
        raise UserError(
            f"run {run.name} was measured by a suite that this version does not know: measure again"
        ) from None
    return Baseline(
        name=name,
        run=run.name,
        measured=str(about.get("time")),
        branch=branch,
        revision=git.get("revision"),
        dirty=git.get("dirty"),
        suite=suite.model_dump(mode="json"),
        request={key: value for key, value in request.items() if key not in ELSEWHERE},
        fingerprint=fingerprint(about),
        cases=tuple(_case(launches) for launches in by_case.values()),
    )


def differences(baseline: Baseline, about: Mapping[str, Any]) -> list[Difference]:
    """How this machine differs from the baseline's, each named."""
    return list(_differences(baseline.fingerprint, fingerprint(about)))


def identity(
    task: Task, backend: str, variant: Variant, dataset_fingerprint: str, checkpoint_hash: str
) -> dict[str, Any]:
    """What has to be the same for figures of two launches to be compared, as `Case` has it."""
    return {
        "case": name_of(backend, variant, task),
        "backend": backend,
        "task": task.name,
        "task_hash": task.hash,
        "dataset": dataset_fingerprint,
        "checkpoint": checkpoint_hash,
        "threads": variant.threads,
        "precision": variant.precision,
    }


def other_experiment(case: Case, now: Mapping[str, Any]) -> list[Difference]:
    """How what would be measured now, by its `identity`, differs from a case of the baseline, each named."""
    changed = [(name, getattr(case, name), value) for name, value in now.items() if getattr(case, name) != value]
    return [
        Difference(name if name in ALLOWED else "experiment", f"{case.case}: {name} was {was} and is {value}")
        for name, was, value in changed
    ]


def _case(launches: Sequence[Record]) -> Case:
    one = launches[0]
    known = identity(one.task, one.backend, one.variant, one.dataset_fingerprint, one.checkpoint_hash)
    return Case(**known, launches=tuple(_launch(record) for record in launches))


def figures_of(record: Record) -> Figures:
    """A run's record as the gate takes it; one launch of a run has proven, which took its time."""
    return of_record(record, proving=record.proof is not None and record.proof.seconds > 0)


def _launch(record: Record) -> Launch:
    found = figures_of(record)
    return Launch(
        values={name: statistics.median(values) for name, values in found.values.items()},
        right=dict(found.right),
    )


def _differences(before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]) -> Iterator[Difference]:
    for kind in dict.fromkeys((*before, *now)):
        was, is_ = before.get(kind, {}), now.get(kind, {})
        for name in dict.fromkeys((*was, *is_)):
            if was.get(name) != is_.get(name):
                yield Difference(kind, f"{name} was {was.get(name, 'not there')} and is {is_.get(name, 'not there')}")
