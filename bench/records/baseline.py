"""The baseline: one small file with the figures of a run, which a later run is gated against."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bench.errors import UserError, make_unknown_error
from bench.records import store
from bench.records.checksummed_json import parse_checksummed_json, to_checksummed_json
from bench.records.launch_figures import LaunchFigures

SCHEMA = 1
KIND = "baseline"
FOLDER = "baselines"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: Kinds of differences between a baseline and now that `--allow` can accept.
ALLOWABLE_DIFFERENCES = ("machine", "versions", "variables", "threads", "precision")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BaselineLaunch(_Frozen):
    """One launch: the median of each metric, and (correct predictions, test images) by seed."""

    values: dict[str, float]
    right: dict[int, tuple[int, int]]

    def to_figures(self, case: str) -> LaunchFigures:
        """Return the figures in the form that the gate compares; `case` is the case's name."""
        return LaunchFigures(case, {name: (value,) for name, value in self.values.items()}, self.right)


class BaselineCase(_Frozen):
    """A case of the run: its launches, and the fields that must be equal for it to be the same experiment."""

    case: str
    backend: str
    task: str
    task_hash: str
    dataset: str
    checkpoint: str
    threads: int
    precision: str
    launches: tuple[BaselineLaunch, ...]


class Baseline(_Frozen):
    """A run that a later run is gated against.

    Attributes:
        name: the baseline's name.
        run: the run's name.
        measured: date and time of the run.
        branch, revision, dirty: the state of the git checkout; None outside one.
        suite, request: the run's suite and its other options, without paths; the gate measures with the same.
        fingerprint: machine, versions and environment variables: by kind of difference, name and value.
    """

    schema_version: int = SCHEMA
    name: str
    run: str
    measured: str
    branch: str | None
    revision: str | None
    dirty: bool | None
    suite: dict[str, Any]
    request: dict[str, Any]
    fingerprint: dict[str, dict[str, Any]]
    cases: tuple[BaselineCase, ...]


def build_path(results: Path, name: str) -> Path:
    """Return the path of a baseline's file.

    Raises:
        UserError: the name has characters that a file's name should not have.
    """
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a baseline: use letters, digits, dots, dashes and underscores")
    return results / FOLDER / f"{name}.json"


def write(results: Path, baseline: Baseline) -> Path:
    """Write a baseline and return its path; an older one of the same name is replaced.

    Raises:
        UserError: the file cannot be written.
    """
    path = build_path(results, baseline.name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): choose another --results") from None
    store.write_text(path, to_checksummed_json(KIND, baseline) + "\n")
    return path


def find(results: Path, name_or_file: str) -> Baseline:
    """Find a baseline by its name, or by the path of its file, and read it.

    Raises:
        UserError: there is none, or its file is cut off, edited, or of another schema.
    """
    if name_or_file.endswith(".json") or "/" in name_or_file:
        path = Path(name_or_file)
        if not path.is_file():
            raise UserError(f"baseline file {path} does not exist: see `bench baseline list`")
    else:
        path = build_path(results, name_or_file)
        if not path.is_file():
            known = [file.stem for file in list_files(results)]
            if not known:
                raise UserError(
                    f"unknown baseline {name_or_file!r}: there is none in {results} yet: `bench baseline save`"
                )
            raise make_unknown_error("baseline", name_or_file, known)
    return read(path)


def list_files(results: Path) -> list[Path]:
    """List the files of all baselines in a results folder, sorted by name."""
    return sorted((results / FOLDER).glob("*.json"), key=lambda path: path.stem)


def read(path: Path) -> Baseline:
    """Read a baseline from its file.

    Raises:
        UserError: the file is cut off, edited, or of another schema.
    """
    try:
        return parse_checksummed_json(KIND, path.read_bytes(), Baseline, SCHEMA)
    except OSError as error:
        raise UserError(f"baseline {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"baseline {path} cannot be used: {error}: save it again with `bench baseline save`") from None
