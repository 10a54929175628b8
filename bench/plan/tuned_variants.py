"""Tuned variants: the results of `bench tune`, one file in the home for each backend, task, device and thread count."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

import backends
from backends.task import Variant
from bench.cache.home import get_home
from bench.errors import UserError
from bench.machine.environment import count_usable_cores, describe_environment
from bench.machine.fingerprint import make_fingerprint
from bench.plan.variants import get_name_on_one_device
from bench.records.checksummed_json import parse_checksummed_json, to_checksummed_json
from bench.records.record import MeasurementWarning
from bench.records.store import write_text

KIND = "tuned"
SCHEMA = 2
FOLDER = "tuned"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HistoryEntry(_Frozen):
    """A variant that the search measured.

    Attributes:
        stage: of the search.
        speedup, low, high: of its step, relative to the default's; a 95 % interval after several launches, None if its
            worker failed.
    """

    stage: str
    name: str
    speedup: float | None
    low: float | None = None
    high: float | None = None


class TunedVariant(_Frozen):
    """The fastest variant that a search has found.

    Attributes:
        backend, task, task_hash: that it was found for.
        device, threads: that it was found with; threads of one operation.
        measured: time of the search, UTC.
        machine, versions: of `bench.machine.fingerprint.make_fingerprint`.
        knobs: the knobs that it sets, by name; empty if nothing was certainly faster than the default.
        speedup, low, high: of its step, relative to the default's; a 95 % interval.
        proof: the verdict of the proof of sameness.
        history: all variants that the search measured.
        notes: what the search left undecided.
        warnings: reasons to trust its speed-up less, summed up over the launches of the search.
        seconds: duration of the search, including the proof.
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
    history: tuple[HistoryEntry, ...]
    notes: tuple[str, ...] = ()
    warnings: tuple[MeasurementWarning, ...] = ()
    seconds: float = 0.0

    def describe(self, versions: Mapping[str, Any]) -> str:
        """Describe it in a line: its knobs, its speed-up, when it was found, and by how many trials.

        Args:
            versions: the installed packages; the line names those of the framework that were another version.
        """
        knobs = ", ".join(f"{knob} {value}" for knob, value in self.knobs.items()) or "the default: no knob is faster"
        speedup = "" if self.speedup is None else f"; {self.speedup:.3f}"
        if self.low is not None and self.high is not None:
            speedup += f" [{self.low:.3f}–{self.high:.3f}]"
        speedup += " × the default's steps" if speedup else ""
        line = f"{knobs}{speedup}; found {self.measured[:16].replace('T', ' ')} UTC by {len(self.history)} trials"
        names = [package.replace("_", "-") for package in backends.REGISTRY[self.backend].packages]
        others = [f"{name} {old}" for name in names if versions.get(name) != (old := self.versions.get(name))]
        return f"{line}; with {', '.join(others)}, not with the installed version" if others else line

    def variant(self, default: Variant) -> Variant:
        """The variant, with the default's threads and device."""
        name = "tuned" + default.name.removeprefix(get_name_on_one_device(default))
        return Variant.model_validate({**default.model_dump(), **self.knobs, "name": name})


def get_file(backend: str, task_hash: str, machine: Mapping[str, Any], default: Variant) -> Path:
    """The file of a tuned variant.

    Args:
        default: a variant with its device and threads.
    """
    return get_home() / FOLDER / f"{_hash_machine(machine)}-{_make_file_name(backend, task_hash, default)}"


def _make_file_name(backend: str, task_hash: str, default: Variant) -> str:
    device = default.device.replace(":", "")
    return f"{task_hash}-{backend}-{device}-{default.threads or count_usable_cores()}threads.json"


def _hash_machine(machine: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(machine, sort_keys=True).encode()).hexdigest()[:12]


def save(tuned: TunedVariant) -> Path:
    """Write a tuned variant, atomically; returns its file.

    Raises:
        UserError: the file cannot be written.
    """
    path = get_file(tuned.backend, tuned.task_hash, tuned.machine, Variant(device=tuned.device, threads=tuned.threads))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {path} ({error.strerror}): set HEADTOHEAD_HOME to a folder of yours") from None
    write_text(path, to_checksummed_json(KIND, tuned) + "\n")
    return path


def explain_missing(backend: str, task: str, task_hash: str, default: Variant) -> str:
    """Explain why there is no tuned variant for this machine, device and number of threads, and what to do."""
    digits = _hash_machine(make_fingerprint(describe_environment())["machine"])
    on_other_machine = any((get_home() / FOLDER).glob(f"*-{_make_file_name(backend, task_hash, default)}"))
    on_this_machine = any((get_home() / FOLDER).glob(f"{digits}-{task_hash}-{backend}-*threads.json"))
    state = "not tuned here"
    if on_this_machine:
        state = f"tuned here, but not on {default.device} in {default.threads} threads"
    elif on_other_machine:
        state = "tuned on another machine, but not on this one"
    return f"{task} was {state}: run bench tune --backend {backend}"


def load_all() -> list[tuple[Path, TunedVariant | str]]:
    """Load all files of this machine, each with its tuned variant, or why it cannot be used."""
    machine = make_fingerprint(describe_environment())["machine"]
    files = sorted((get_home() / FOLDER).glob(f"{_hash_machine(machine)}-*.json"))
    return [(path, _read_or_explain(path, machine)) for path in files]


def _read_or_explain(path: Path, machine: Mapping[str, Any]) -> TunedVariant | str:
    try:
        return _read(path, machine)
    except UserError as error:
        return str(error)


def load(backend: str, task_hash: str, default: Variant) -> TunedVariant | None:
    """Load the tuned variant for this machine and the default's device and threads; None if there is none.

    Raises:
        UserError: the file is damaged, or from another machine.
    """
    machine = make_fingerprint(describe_environment())["machine"]
    path = get_file(backend, task_hash, machine, default)
    return _read(path, machine) if path.is_file() else None


def _read(path: Path, machine: Mapping[str, Any]) -> TunedVariant:
    try:
        found = parse_checksummed_json(KIND, path.read_bytes(), TunedVariant, SCHEMA)
    except (ValueError, OSError) as error:
        raise UserError(f"the tuned file {path} cannot be used ({error}): run bench tune again") from None
    try:
        found.variant(Variant())
    except ValidationError:
        raise UserError(f"the tuned file {path} sets knobs that no longer exist: run bench tune again") from None
    if found.machine != machine:
        raise UserError(f"the tuned file {path} is from another machine: run bench tune on this one")
    return found
