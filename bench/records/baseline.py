"""The baseline: what a run measured, in one small file that a later run is gated against."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from bench.errors import UserError, unknown
from bench.records import store
from bench.records.checksummed_json import seal, unseal
from bench.records.launch_figures import Figures

SCHEMA = 1
KIND = "baseline"
FOLDER = "baselines"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
#: What `--allow` accepts, and what each kind of difference is called.
ALLOWED = ("machine", "versions", "variables", "threads", "precision")


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
    suite: dict[str, Any]
    request: dict[str, Any]
    fingerprint: dict[str, dict[str, Any]]
    cases: tuple[Case, ...]


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
