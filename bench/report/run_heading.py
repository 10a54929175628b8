"""The heading of a run: what was measured, when, on which machine, with which versions and by which command."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import backends
from bench.analysis.launches import group_by_task
from bench.records.record import Record
from bench.records.units import GIB

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
    run = _get(about, "run")
    tasks = group_by_task(records)
    measured = dict.fromkeys(case.first.backend for task in tasks for case in task.cases)
    return RunHeading(
        run=first.run,
        tasks=", ".join(dict.fromkeys(task.task.name for task in tasks)),
        date=_format_date(first.started),
        machine=_describe_machine(about),
        versions=_list_versions(about, list(measured)),
        revision=_describe_revision(_get(about, "git")),
        command=f"bench {run['command']}" if run.get("command") else "",
    )


def find_banner(records: Sequence[Record]) -> str | None:
    """Find the banner of a run that fell back to the offline suite; None without a fallback."""
    return _get(records[0].about, "run").get("banner") if records else None


def _get(about: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Get a part of an environment; empty where it is missing."""
    part = about.get(key)
    return part if isinstance(part, dict) else {}


def _format_date(started: str) -> str:
    try:
        moment = datetime.fromisoformat(started).astimezone(UTC)
    except ValueError:
        return started
    return f"{moment.day} {moment:%B %Y, %H:%M} UTC"


def _describe_machine(about: Mapping[str, Any]) -> str:
    cpu, system = _get(about, "cpu"), _get(about, "system")
    if not cpu:
        return ""
    cores, memory = cpu.get("cores_usable"), _get(about, "memory").get("total")
    gpus = [str(gpu.get("name")) for gpu in about.get("gpus") or [] if isinstance(gpu, dict)]
    texts = (
        cpu.get("model"),
        f"{cores} {'core' if cores == 1 else 'cores'}" if cores else None,
        f"{memory / GIB:.0f} GiB" if isinstance(memory, int) else None,
        " + ".join(gpus) or "no GPU",
        " ".join(str(part) for part in (system.get("name"), system.get("machine")) if part),
    )
    return ", ".join(str(text) for text in texts if text)


def _list_versions(about: Mapping[str, Any], measured: Sequence[str]) -> str:
    """List the versions of Python and of the packages that the measured backends need."""
    packages = _get(about, "packages")
    entries = [entry for name in measured if (entry := backends.REGISTRY.get(name))]
    names = dict.fromkeys(package.replace("_", "-") for entry in entries for package in entry.packages)
    versions = {"Python": _get(about, "python").get("version"), **{name: packages.get(name) for name in names}}
    return ", ".join(f"{name} {version}" for name, version in versions.items() if version)


def _describe_revision(git: Mapping[str, Any]) -> str:
    revision = git.get("revision")
    return f"{str(revision)[:REVISION_DIGITS]}{' with changes' if git.get('dirty') else ''}" if revision else ""
