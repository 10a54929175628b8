"""Tuned variants: what `bench tune` found, one file in home for each backend, task, device and number of threads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

import backends
from backends.task import Variant
from bench.cache.home import home
from bench.errors import UserError
from bench.machine.environment import environment, fingerprint, usable_cores
from bench.records.checksummed_json import seal, unseal
from bench.records.store import write_text

KIND = "tuned"
SCHEMA = 2
FOLDER = "tuned"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Tried(_Frozen):
    """A variant that was tried: in which stage, and how many times as fast as the default it was, with a 95 % interval
    where it had several launches; no speed-up where its worker died.
    """

    stage: str
    name: str
    speedup: float | None
    low: float | None = None
    high: float | None = None


class Tuned(_Frozen):
    """What was found.

    Attributes:
        backend, task, task_hash: for whom.
        device, threads: on what, and in how many threads of one operation.
        measured: when, UTC.
        machine, versions: where, as `bench.machine.environment.fingerprint` tells it.
        knobs: turned, by name; none where nothing was certainly faster than the default.
        speedup, low, high: of the step, over the default's; a 95 % interval.
        proof: the verdict on its sameness.
        history: of the search.
        notes: what the search left open.
        seconds: that all of it took, the proof included.
    """

    schema_version: int = SCHEMA
    backend: str
    task: str
    task_hash: str
    device: str
    threads: int
    measured: str
    machine: dict[str, Any]
    versions: dict[str, Any]
    knobs: dict[str, str]
    speedup: float | None
    low: float | None
    high: float | None
    proof: str
    history: tuple[Tried, ...]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    def told(self, versions: Mapping[str, Any]) -> str:
        """In a line: what it turns, how much faster that was, when it was found, and by how many trials.

        Args:
            versions: what is installed now; which of the framework's packages was another is told.
        """
        knobs = ", ".join(f"{knob} {value}" for knob, value in self.knobs.items()) or "the default: no knob is faster"
        faster = "" if self.speedup is None else f"; {self.speedup:.3f}"
        if self.low is not None and self.high is not None:
            faster += f" [{self.low:.3f}–{self.high:.3f}]"
        faster += " × the default's steps" if faster else ""
        found = f"{knobs}{faster}; found {self.measured[:16].replace('T', ' ')} UTC by {len(self.history)} trials"
        names = [package.replace("_", "-") for package in backends.REGISTRY[self.backend].packages]
        others = [f"{name} {was}" for name in names if versions.get(name) != (was := self.versions.get(name))]
        return f"{found}; with {', '.join(others)}, not with what is installed now" if others else found

    def variant(self, default: Variant) -> Variant:
        """It, with the default's threads and device."""
        return Variant.model_validate({**default.model_dump(), **self.knobs, "name": "tuned"})


def file(backend: str, task_hash: str, machine: Mapping[str, Any], default: Variant) -> Path:
    """Where it lies.

    Args:
        default: whose device and threads it is for.
    """
    return home() / FOLDER / f"{_digits(machine)}-{_name(backend, task_hash, default)}"


def _name(backend: str, task_hash: str, default: Variant) -> str:
    device = default.device.replace(":", "")
    return f"{task_hash}-{backend}-{device}-{default.threads or usable_cores()}threads.json"


def _digits(machine: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(machine, sort_keys=True).encode()).hexdigest()[:12]


def keep(tuned: Tuned) -> Path:
    """Write it, atomically.

    Raises:
        UserError: it cannot be written.
    """
    path = file(tuned.backend, tuned.task_hash, tuned.machine, Variant(device=tuned.device, threads=tuned.threads))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): set HEADTOHEAD_HOME to a folder of yours") from None
    write_text(path, seal(KIND, tuned) + "\n")
    return path


def missing(backend: str, task: str, task_hash: str, default: Variant) -> str:
    """Why there is nothing for this machine, device and number of threads, and what to do."""
    digits = _digits(fingerprint(environment())["machine"])
    elsewhere = any((home() / FOLDER).glob(f"*-{_name(backend, task_hash, default)}"))
    otherwise = any((home() / FOLDER).glob(f"{digits}-{task_hash}-{backend}-*threads.json"))
    state = "not tuned here"
    if otherwise:
        state = f"tuned here, but not on {default.device} in {default.threads} threads"
    elif elsewhere:
        state = "tuned on another machine and not on this one"
    return f"{task} was {state}: run bench tune --backend {backend}"


def kept() -> list[tuple[Path, Tuned | str]]:
    """All files of this machine, each with what was found, or why it cannot be used."""
    machine = fingerprint(environment())["machine"]
    files = sorted((home() / FOLDER).glob(f"{_digits(machine)}-*.json"))
    return [(path, _tried_to_read(path, machine)) for path in files]


def _tried_to_read(path: Path, machine: Mapping[str, Any]) -> Tuned | str:
    try:
        return _read(path, machine)
    except UserError as error:
        return str(error)


def load(backend: str, task_hash: str, default: Variant) -> Tuned | None:
    """What was found on this machine, with the default's device and threads; None where nobody has tuned it.

    Raises:
        UserError: the file is damaged, or from another machine.
    """
    machine = fingerprint(environment())["machine"]
    path = file(backend, task_hash, machine, default)
    return _read(path, machine) if path.is_file() else None


def _read(path: Path, machine: Mapping[str, Any]) -> Tuned:
    try:
        found = unseal(KIND, path.read_bytes(), Tuned, SCHEMA)
    except (ValueError, OSError) as error:
        raise UserError(f"the tuned file {path} cannot be used ({error}): run bench tune again") from None
    try:
        found.variant(Variant())
    except ValidationError:
        raise UserError(
            f"the tuned file {path} turns knobs that are not there any more: run bench tune again"
        ) from None
    if found.machine != machine:
        raise UserError(f"the tuned file {path} is from another machine: run bench tune on this one")
    return found
