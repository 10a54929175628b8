"""Reports of a run, one small exporter a file. A new format is one file and one entry here."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, cast

from bench.errors import unknown
from bench.store import write_text

if TYPE_CHECKING:
    from bench.record import Record
    from bench.tables import Table


@dataclass(frozen=True)
class Report:
    """What there is to export: the records, the tables made from them, and the run's environment."""

    records: Sequence[Record]
    tables: Sequence[Table]
    environment: Mapping[str, object] = field(default_factory=dict)


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


def write(run: Path, report: Report, formats: Iterable[str] = FILES) -> list[Path]:
    """Write the report into the run's folder, one file a format; returns their paths.

    Raises:
        UserError: an unknown format, a full disk, a folder that is not writable.
    """
    written = []
    for made_by in [exporter(name) for name in formats]:
        path = run / made_by.FILE
        write_text(path, made_by.export(report), finished_in=run)
        written.append(path)
    return written
