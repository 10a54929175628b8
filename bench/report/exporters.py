"""The report of a run, and the exporters that write it: one module per format, registered in `EXPORTERS`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, cast

from bench.errors import UserError, make_unknown_error
from bench.records.store import write_text

if TYPE_CHECKING:
    from bench.records.record import Record
    from bench.report.tables.table import Table

#: The module of each format; imported on first use, so that rich is not loaded earlier.
EXPORTERS = MappingProxyType(
    {
        "csv": "bench.report.csv",
        "markdown": "bench.report.markdown",
        "terminal": "bench.report.terminal",
        "benchmark-json": "bench.report.benchmark_json",
        "html": "bench.report.html.run_file",
    }
)

#: The formats that every run's folder has, and its file with the machine and the software.
RUN_FORMATS = ("csv", "markdown", "benchmark-json", "html")
ENVIRONMENT_FILE = "environment.json"


@dataclass(frozen=True)
class Report:
    """The content of a report: records, the tables made from them, and what their ratios are relative to."""

    records: Sequence[Record]
    tables: Sequence[Table]
    relative_to: str = "pytorch"

    @property
    def environment(self) -> Mapping[str, object]:
        """The content of `environment.json`."""
        return build_environment(self.records[0].about if self.records else {}, self.records)


class Exporter(Protocol):
    """What the module of a format has; `FILE` is the name of its file in a run's folder."""

    FILE: str

    def export(self, report: Report) -> str:
        """Format the report as text."""


def load_exporter(name: str) -> Exporter:
    """Import the exporter of the format called `name`.

    Raises:
        UserError: there is none, or a package that it needs is not installed.
    """
    if name not in EXPORTERS:
        raise make_unknown_error("format", name, EXPORTERS)
    try:
        return cast(Exporter, importlib.import_module(EXPORTERS[name]))
    except ModuleNotFoundError as error:
        install = f"pip install {error.name}, or install this project again"
        raise UserError(f"the format {name} needs {error.name}, which is not installed: {install}") from None


def export(name: str, report: Report) -> str:
    """Format the report in the format called `name`.

    Raises:
        UserError: there is none.
    """
    return load_exporter(name).export(report)


def write_report(
    run: Path, report: Report, formats: Iterable[str] = RUN_FORMATS, *, only_missing: bool = False
) -> list[Path]:
    """Write the report into the run's folder, one file per format, and `environment.json`; return their paths.

    All files are attempted: one that cannot be written does not keep the others from being written. With `only_missing`
    a file that is there stays as it is.

    Raises:
        UserError: an unknown format, a missing package, a full disk, a folder that is not writable.
    """
    written, problems = [], []
    for name in formats:
        try:
            exporter = load_exporter(name)
            if not (only_missing and (run / exporter.FILE).is_file()):
                write_text(run / exporter.FILE, exporter.export(report), finished_in=run)
                written.append(run / exporter.FILE)
        except UserError as problem:
            problems.append(problem)
    if report.records and not (only_missing and (run / ENVIRONMENT_FILE).is_file()):
        try:
            write_environment(run, report.records[0].about, report.records)
            written.append(run / ENVIRONMENT_FILE)
        except UserError as problem:
            problems.append(problem)
    if problems:
        raise problems[0]
    return written


def write_environment(run: Path, about: Mapping[str, object], records: Iterable[Record]) -> None:
    """Write the run's `environment.json`.

    Raises:
        UserError: a full disk, a folder that is not writable.
    """
    write_text(run / ENVIRONMENT_FILE, _format_environment(about, records), finished_in=run)


def _format_environment(about: Mapping[str, object], records: Iterable[Record]) -> str:
    return json.dumps(build_environment(about, records), indent=2) + "\n"


def build_environment(about: Mapping[str, object], records: Iterable[Record]) -> dict[str, object]:
    """Build the content of `environment.json`.

    Args:
        about: the run and its machine.
        records: of the run; they have each framework's build and the settings that its workers really used.
    """
    frameworks = {
        f"{record.backend}/{record.variant.name}": {
            "build": record.framework,
            "resolved": record.resolved,
            "variables": record.variables,
        }
        for record in records
        if record.resolved
    }
    return {**about, "frameworks": frameworks}
