"""Makes a baseline of a run, and finds the differences between a baseline and the present machine or cases."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from backends.task import Task, Variant
from bench.errors import UserError
from bench.machine.fingerprint import make_fingerprint
from bench.machine.variables import align_conditions
from bench.plan.suite import Suite
from bench.records import store
from bench.records.baseline import ALLOWABLE_DIFFERENCES, Baseline, BaselineCase, BaselineLaunch
from bench.records.launch_figures import LaunchFigures, extract_figures, format_case_name
from bench.records.record import Record

#: Options of a run that a baseline does not keep: the suite has its own field, and paths exist on one machine only.
OMITTED_OPTIONS = ("suite", "data_dir", "images", "checkpoint", "results")


@dataclass(frozen=True)
class Difference:
    """Something that influences figures and has changed; `kind` is a kind of `--allow`, or `experiment`."""

    kind: str
    line: str


def build_baseline(name: str, run: Path, request: Mapping[str, Any], branch: str | None, fewest: int) -> Baseline:
    """Build a baseline from a run.

    Args:
        name: the baseline's name.
        run: the run's folder.
        request: the run's options.
        branch: the git branch that the run was measured on, if it is known.
        fewest: the smallest number of launches that every case needs.

    Raises:
        UserError: a case of the run has too few launches, or its suite is of another version.
    """
    return build_from_records(name, run.name, store.read_records(run)[0], request, branch, fewest)


def build_from_records(
    name: str, run: str, records: Sequence[Record], request: Mapping[str, Any], branch: str | None, fewest: int
) -> Baseline:
    """Build a baseline from records; see `build_baseline`.

    Args:
        name, request, branch, fewest: as there.
        run: the run's name.
        records: of the run.

    Raises:
        UserError: as there.
    """
    by_case: dict[str, list[Record]] = {}
    for record in records:
        if record.failure is None and record.pipeline:
            by_case.setdefault(record.case, []).append(record)
    if not by_case:
        raise UserError(f"run {run} has no finished launch: resume it, or choose another run")
    if (least := min(len(launches) for launches in by_case.values())) < fewest:
        raise UserError(
            f"a baseline needs {fewest} launches of every case, and run {run} has a case with {least}: "
            f"measure with bench run --launches {fewest} or more, or bench run --suite standard"
        )
    about: Mapping[str, Any] = records[0].about
    git = about.get("git") or {}
    try:
        return Baseline(
            name=name,
            run=run,
            measured=str(about.get("time")),
            branch=branch,
            revision=git.get("revision"),
            dirty=git.get("dirty"),
            suite=Suite.model_validate(about["run"]["suite"]).model_dump(mode="json"),
            request={key: value for key, value in request.items() if key not in OMITTED_OPTIONS},
            fingerprint=make_fingerprint(about),
            cases=tuple(_build_case(launches) for launches in by_case.values()),
        )
    except (ValidationError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"run {run} was measured with a suite or an environment that this version cannot read: measure again"
        ) from None


def find_machine_differences(baseline: Baseline, about: Mapping[str, Any]) -> list[Difference]:
    """List the differences between the baseline's machine, versions and variables and the present ones."""
    before, now = baseline.fingerprint, make_fingerprint(about)
    was, is_ = align_conditions(before.get("variables", {}), now["variables"])
    return list(_compare_fingerprints({**before, "variables": was}, {**now, "variables": is_}))


def identify_case(
    task: Task, backend: str, variant: Variant, dataset_fingerprint: str, checkpoint_hash: str
) -> dict[str, Any]:
    """Return what must be equal for the figures of two launches to be comparable: these fields of a `BaselineCase`."""
    return {
        "case": format_case_name(backend, variant, task),
        "backend": backend,
        "task": task.name,
        "task_hash": task.hash,
        "dataset": dataset_fingerprint,
        "checkpoint": checkpoint_hash,
        "threads": variant.threads,
        "precision": variant.precision,
    }


def find_experiment_differences(case: BaselineCase, now: Mapping[str, Any]) -> list[Difference]:
    """List the differences between a case of the baseline and one that would be measured now.

    Args:
        case: of the baseline.
        now: the other case, by `identify_case`.
    """
    changed = [(name, getattr(case, name), value) for name, value in now.items() if getattr(case, name) != value]
    return [
        Difference(
            name if name in ALLOWABLE_DIFFERENCES else "experiment", f"{case.case}: {name} was {was} and is {value}"
        )
        for name, was, value in changed
    ]


def _build_case(launches: Sequence[Record]) -> BaselineCase:
    first = launches[0]
    fields = identify_case(first.task, first.backend, first.variant, first.dataset_fingerprint, first.checkpoint_hash)
    return BaselineCase(**fields, launches=tuple(_build_launch(record) for record in launches))


def extract_run_figures(record: Record) -> LaunchFigures:
    """Extract the figures of a record from a run, where one launch of each case also makes the proof of sameness."""
    return extract_figures(record, proving=record.proof is not None and record.proof.seconds > 0)


def _build_launch(record: Record) -> BaselineLaunch:
    figures = extract_run_figures(record)
    return BaselineLaunch(
        values={name: statistics.median(values) for name, values in figures.values.items()},
        right=dict(figures.right),
    )


def _compare_fingerprints(
    before: Mapping[str, Mapping[str, Any]], now: Mapping[str, Mapping[str, Any]]
) -> Iterator[Difference]:
    for kind in dict.fromkeys((*before, *now)):
        was, is_ = before.get(kind, {}), now.get(kind, {})
        for name in dict.fromkeys((*was, *is_)):
            if was.get(name) != is_.get(name):
                yield Difference(kind, f"{name} was {was.get(name, 'not set')} and is {is_.get(name, 'not set')}")
