"""A stored run that is compared with others, and how it is called there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from bench.analysis.launches import TaskLaunches, group_by_task
from bench.analysis.warnings import add_run_warnings
from bench.errors import UserError
from bench.machine.fingerprint import read_fingerprint
from bench.machine.machine_name import compute_machine_key, describe_machine
from bench.machine.variables import find_conditions
from bench.records import store
from bench.records.record import Record


@dataclass(frozen=True)
class StoredRun:
    """The records of a run, and the letter that tables call it by.

    Attributes:
        folder: of the run.
        records: at least one, with the warnings of the run.
        problems: a line for each record that is not usable.
    """

    letter: str
    folder: Path
    records: tuple[Record, ...]
    problems: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name that the run got when it was measured."""
        return self.records[0].run

    @property
    def suite(self) -> str:
        """The suite that it measured."""
        return self.records[0].suite

    @property
    def about(self) -> Mapping[str, Any]:
        """What its records say about machine, software and call."""
        return self.records[0].about

    @property
    def measured(self) -> str:
        """The day and time of its first launch, in UTC."""
        return min(record.started for record in self.records)[:16].replace("T", " ")

    @property
    def relative_to(self) -> str:
        """What its ratios are relative to."""
        facts = self.about.get("run")
        return str(facts.get("relative_to") or "pytorch") if isinstance(facts, Mapping) else "pytorch"

    @cached_property
    def fingerprint(self) -> Mapping[str, Mapping[str, Any]]:
        """What figures depend on, by kind: `machine`, `versions` and `variables`; empty where it is not known."""
        found = read_fingerprint(self.about)
        return {**found, "variables": find_conditions(found["variables"])} if found else {}

    @property
    def machine(self) -> str:
        """The machine in a few words."""
        return describe_machine(self.fingerprint["machine"]) if self.fingerprint else "machine not known"

    @property
    def machine_key(self) -> str | None:
        """The key of its machine; None where it is not known."""
        return compute_machine_key(self.fingerprint["machine"]) if self.fingerprint else None

    @cached_property
    def tasks(self) -> Sequence[TaskLaunches]:
        """Its tasks, each division of its own."""
        return group_by_task(self.records)

    def is_same_machine(self, other: StoredRun) -> bool:
        """Whether both were measured on machines that are known to be of one kind."""
        return self.machine_key is not None and self.machine_key == other.machine_key


def read_runs(folders: Sequence[Path]) -> list[StoredRun]:
    """Read the runs in these folders, and give each a letter, in order.

    Raises:
        UserError: a folder is given twice, none of a run's records can be read, or there are more runs than letters.
    """
    if len(folders) > len(ascii_uppercase):
        raise UserError(f"{len(folders)} runs are too many: give {len(ascii_uppercase)} or fewer")
    seen: dict[Path, Path] = {}
    for folder in folders:
        if folder.resolve() in seen:
            raise UserError(f"run {folder} is given twice: give each run once")
        seen[folder.resolve()] = folder
    return [_read_run(letter, folder) for letter, folder in zip(ascii_uppercase, folders, strict=False)]


def _read_run(letter: str, folder: Path) -> StoredRun:
    records, problems = store.read_records(folder)
    if not records:
        reason = problems[0] if problems else "no launch has finished"
        raise UserError(f"run {folder} has no readable record ({reason}): choose another run, or measure again")
    return StoredRun(letter, folder, tuple(add_run_warnings(records)), tuple(problems))
