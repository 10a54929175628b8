"""Reports of a run, one small exporter a file. A new format is one file and one entry here."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, cast

from bench.errors import unknown
from bench.records.store import write_text

if TYPE_CHECKING:
    from bench.records.record import Record
    from bench.report.tables import Table


@dataclass(frozen=True)
class Report:
    """What there is to export: the records, and the tables made from them."""

    records: Sequence[Record]
    tables: Sequence[Table]

    @property
    def environment(self) -> Mapping[str, object]:
        """The machine and the software of the run, as its records tell them."""
        return environment(self.records[0].about if self.records else {}, self.records)


class Exporter(Protocol):
    """A module of this package. `FILE` is the name of its file in a run's folder."""

    FILE: str

    def export(self, report: Report) -> str:
        """The report as text."""


#: Modules by format; imported when they are asked for, so that pandas and rich are not loaded sooner.
EXPORTERS = MappingProxyType(
    {
        "csv": "bench.report.csv",
        "markdown": "bench.report.markdown",
        "terminal": "bench.report.terminal",
        "benchmark-json": "bench.report.benchmark_json",
    }
)

ENVIRONMENT = "environment.json"

#: What every run's folder holds beside its records and its environment.
FILES = ("csv", "markdown", "benchmark-json")


def exporter(name: str) -> Exporter:
    """The exporter called `name`.

    Raises:
        UserError: there is none.
    """
    if name not in EXPORTERS:
        raise unknown("format", name, EXPORTERS)
    return cast(Exporter, importlib.import_module(EXPORTERS[name]))


def export(name: str, report: Report) -> str:
    """The report in the format called `name`."""
    return exporter(name).export(report)


def environment(about: Mapping[str, object], records: Iterable[Record]) -> dict[str, object]:
    """What `environment.json` holds: the run and its machine, and each framework as it was built and resolved."""
    frameworks = {
        f"{record.backend}/{record.variant.name}": {"build": record.framework, "resolved": record.resolved}
        for record in records
        if record.resolved
    }
    return {**about, "frameworks": frameworks}


def write_environment(run: Path, about: Mapping[str, object], records: Iterable[Record]) -> None:
    """Write the run's `environment.json`.

    Raises:
        UserError: a full disk, a folder that is not writable.
    """
    write_text(run / ENVIRONMENT, json.dumps(environment(about, records), indent=2) + "\n", finished_in=run)


def write(run: Path, report: Report, formats: Iterable[str] = FILES) -> list[Path]:
    """Write the report into the run's folder, one file a format, and the environment; returns their paths.

    Raises:
        UserError: an unknown format, a full disk, a folder that is not writable.
    """
    written = []
    for made_by in [exporter(name) for name in formats]:
        path = run / made_by.FILE
        write_text(path, made_by.export(report), finished_in=run)
        written.append(path)
    if report.records:
        write_environment(run, report.records[0].about, report.records)
        written.append(run / ENVIRONMENT)
    return written
