"""The formats of `bench export`: one module each, imported on first use."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from bench.errors import make_unknown_error
from bench.report.exporters import EXPORTERS, Report


@dataclass(frozen=True)
class Format:
    """A format: its module, what its file or folder is for, whether it is a folder, and whether it is text."""

    module: str
    purpose: str
    is_folder: bool = False
    is_text: bool = True


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        "csv": Format(EXPORTERS["csv"], "one row per launch, for spreadsheets and pandas"),
        "parquet": Format("bench.report.exchange.parquet", "one row per launch, for read_parquet", is_text=False),
        "markdown": Format(EXPORTERS["markdown"], "the tables, for GitHub and other readers of Markdown"),
        "latex": Format("bench.report.exchange.latex", r"the tables, for \input in a paper with booktabs"),
        "json": Format("bench.report.exchange.run_document", "all figures; docs/exporting.md describes each field"),
        "benchmark-json": Format(EXPORTERS["benchmark-json"], "seconds per step, for pytest-benchmark compare"),
        "github-action-benchmark": Format(
            "bench.report.exchange.github_action_benchmark", "times and memory, for its tool customSmallerIsBetter"
        ),
        "github-action-benchmark-bigger": Format(
            "bench.report.exchange.github_action_benchmark_bigger",
            "throughput and accuracy, for its tool customBiggerIsBetter",
        ),
        "bencher": Format("bench.report.exchange.bencher", "all figures, for the adapter json of Bencher"),
        "asv": Format("bench.report.exchange.asv", "times and memory, for the results_dir of asv", is_folder=True),
    }
)


def find_format(name: str) -> Format:
    """Find a format by its name.

    Raises:
        UserError: there is none.
    """
    if name not in FORMATS:
        raise make_unknown_error("format", name, FORMATS)
    return FORMATS[name]


def export_file(chosen: Format, report: Report) -> bytes:
    """Format a report in a format that is one file; text is UTF-8.

    Raises:
        UserError: a package that the format needs is not installed.
    """
    content: str | bytes = importlib.import_module(chosen.module).export(report)
    return content.encode(errors="replace") if isinstance(content, str) else content


def export_folder(chosen: Format, report: Report, folder: Path) -> list[Path]:
    """Write a report in a format that is a folder; return the paths of its files.

    Raises:
        UserError: the run lacks something that the format needs, or the folder cannot be written.
    """
    paths: list[Path] = importlib.import_module(chosen.module).write_folder(report, folder)
    return paths
