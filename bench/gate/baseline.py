"""The baseline: what a run measured, in one small file that a later run is gated against."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from backends.task import Task, Variant
from bench import store
from bench.environment import fingerprint
from bench.errors import UserError, unknown
from bench.gate.decision import LOOKS
from bench.gate.figures import Figures, name_of, of_record
from bench.record import Record
from bench.sealed import seal, unseal
from bench.suite import Suite

SCHEMA = 1
KIND = "baseline"
FOLDER = "baselines"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: What `--allow` accepts, and what each kind of difference is called.
ALLOWED = ("machine", "versions", "variables", "threads", "precision")
#: Options of a run that a baseline has no use for: the suite is kept itself, and paths are of one machine.
ELSEWHERE = ("suite", "data_dir", "checkpoint", "results")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Launch(_Frozen):
    """One launch: the median of each metric, and by seed the correct predictions and test images."""

    values: dict[str, float]
    right: dict[int, tuple[int, int]]

    def figures(self, case: str) -> Figures:
        """As the gate takes them."""
        return Figures(case, {name: (value,) for name, value in self.values.items()}, self.right)


class Case(_Frozen):
    """A case of the run, what decides whether it is the same experiment, and its launches."""

    case: str
    backend: str
    task: str
    task_hash: str
    dataset: str
    checkpoint: str
    threads: int
    precision: str
    launches: tuple[Launch, ...]


class Baseline(_Frozen):
    """A run that a later run is gated against.

    Attributes:
        name: of the baseline.
        run: the run's name.
        measured: when.
        branch, revision, dirty: of what; None outside a git checkout.
        suite, request: how thoroughly the run measured, and its other options, without paths; the gate does the same.
        fingerprint: of the machine, versions and variables, by kind; flat.
    """

    schema_version: int = SCHEMA
    name: str
    run: str
    measured: str
    branch: str | None
    revision: str | None
    dirty: bool | None
    suite: Suite
    request: dict[str, Any]
    fingerprint: dict[str, dict[str, Any]]
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Difference:
    """Something that decides a figure and is another now; `kind` is what `--allow` calls it, or `experiment`."""

    kind: str
    line: str


def of_run(name: str, run: Path, request: Mapping[str, Any], branch: str | None, fewest: int = LOOKS[0]) -> Baseline:
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
        suite=suite,
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


def path_of(results: Path, name: str) -> Path:
    """The file of a baseline.

    Raises:
        UserError: a name that no file should have.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a baseline: use letters, digits, dots, dashes and underscores")
    return results / FOLDER / f"{name}.json"


def write(results: Path, baseline: Baseline) -> Path:
    """Write it, in place of an older one of its name; gives its file.

    Raises:
        UserError: it cannot be written.
    """
    path = path_of(results, baseline.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): choose another --results") from None
    store.write_text(path, seal(KIND, baseline) + "\n")
    return path


def find(results: Path, name_or_file: str) -> Baseline:
    """A baseline by its name, or by the path of its file.

    Raises:
        UserError: there is none, or its file is cut off, edited, or of a newer schema.
    """
    if name_or_file.endswith(".json") or "/" in name_or_file:
        path = Path(name_or_file)
        if not path.is_file():
            raise UserError(f"baseline file {path} does not exist: see `bench baseline list`")
    else:
        path = path_of(results, name_or_file)
        if not path.is_file():
            known = [one.stem for one in files(results)]
            if not known:
                raise UserError(
                    f"unknown baseline {name_or_file!r}: there is none in {results} yet: `bench baseline save`"
                )
            raise unknown("baseline", name_or_file, known)
    return read(path)


def files(results: Path) -> list[Path]:
    """The files of all baselines of a results folder."""
    return sorted((results / FOLDER).glob("*.json"), key=lambda path: path.stem)


def read(path: Path) -> Baseline:
    """A baseline from its file.

    Raises:
        UserError: the file is cut off, edited, or of a newer schema.
    """
    try:
        return unseal(KIND, path.read_bytes(), Baseline, SCHEMA)
    except OSError as error:
        raise UserError(f"baseline {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"baseline {path} cannot be used: {error}: save it anew with `bench baseline save`") from None


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
