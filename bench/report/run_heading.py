"""The heading of a run: what was measured, when, on which machine, with which versions and by which command."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import backends
from bench.analysis.launches import group_by_task
from bench.machine.stored_environment import (
    describe_machine,
    describe_revision,
    describe_versions,
    read_about,
)
from bench.records.record import Record

#: Digits of a revision.
REVISION_DIGITS = 12


@dataclass(frozen=True)
class RunHeading:
    """What tells a run from others; a text is empty where the records do not have it.

    Attributes:
        run: its name.
        tasks: their names.
        date: of the first launch, in UTC.
        machine: CPU, cores, memory, GPUs, system.
        versions: of Python and of the packages of the backends.
        revision: of the code that measured, and whether it had changes.
        command: that measured it.
    """

    run: str
    tasks: str
    date: str
    machine: str
    versions: str
    revision: str
    command: str

    @property
    def lines(self) -> tuple[str, ...]:
        """The heading in lines: the run, its machine, its software."""
        revision = f"revision {self.revision}" if self.revision else ""
        texts = (
            ", ".join(filter(None, (f"{self.run}: {self.tasks}", self.date))),
            self.machine,
            "; ".join(filter(None, (self.versions, revision))),
        )
        return tuple(filter(None, texts))


def build_heading(records: Sequence[Record]) -> RunHeading:
    """Build the heading from the records of one run, at least one."""
    first = min(records, key=lambda record: (record.position, record.launch))
    about: Mapping[str, Any] = first.about
    run = read_about(about, "run")
    tasks = group_by_task(records)
    measured = dict.fromkeys(case.first.backend for task in tasks for case in task.cases)
    return RunHeading(
        run=first.run,
        tasks=", ".join(dict.fromkeys(task.task.name for task in tasks)),
        date=_format_date(first.started),
        machine=describe_machine(about),
        versions=describe_versions(about, _list_packages(measured)),
        revision=describe_revision(about, REVISION_DIGITS),
        command=f"bench {run['command']}" if run.get("command") else "",
    )


def find_banner(records: Sequence[Record]) -> str | None:
    """Find the banner of a run that fell back to the offline suite; None without a fallback."""
    return read_about(records[0].about, "run").get("banner") if records else None


def _format_date(started: str) -> str:
    try:
        moment = datetime.fromisoformat(started).astimezone(UTC)
    except ValueError:
        return started
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _list_packages(measured: Iterable[str]) -> list[str]:
    """List the packages that the measured backends need, as they are recorded."""
    entries = [entry for name in measured if (entry := backends.REGISTRY.get(name))]
    return list(dict.fromkeys(package.replace("_", "-") for entry in entries for package in entry.packages))
