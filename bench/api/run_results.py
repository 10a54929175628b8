"""What `bench.load` and `bench.run` return: a run as data frames, tables and a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bench.api.notebook_html import format_results
from bench.records import launch_rows, round_rows
from bench.records.record import MeasurementWarning, Record
from bench.report.tables.table import Table
from bench.report.verdict import Verdict, build_verdict

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, repr=False)
class RunResults:
    """The results of one run. In a notebook it is shown as its verdict and its tables.

    Attributes:
        folder: where the run is.
        records: of all its launches, sorted by case and launch; `bench.records.record.Record` says what each has.
        tables: those that the command line prints, as data: a title, columns, rows of cells and notes.
        problems: a line for each record that could not be read and is left out.
        relative_to: the backend or case that ratios are relative to.
    """

    folder: Path
    records: tuple[Record, ...]
    tables: tuple[Table, ...]
    problems: tuple[str, ...]
    relative_to: str

    @property
    def name(self) -> str:
        """The run's name, as commands take it."""
        return self.folder.name

    @cached_property
    def frame(self) -> pandas.DataFrame:
        """One row for each launch of a case, with the columns of `results.csv`.

        Rates are images per second, times seconds, memory MB of 2**20 bytes, `test_accuracy` a share, 0..1. What was
        not measured is NaN.
        """
        import pandas

        return pandas.DataFrame([launch_rows.build_row(record) for record in self.records], columns=launch_rows.COLUMNS)

    @cached_property
    def rounds(self) -> pandas.DataFrame:
        """One row for each timed round: its kind, number, steps, images, `seconds`, and rates derived from them."""
        import pandas

        rows = [row for record in self.records for row in round_rows.build_round_rows(record)]
        return pandas.DataFrame(rows, columns=round_rows.COLUMNS)

    @cached_property
    def verdict(self) -> Verdict:
        """The verdict: what the tables decide, in a few sentences. `str(results.verdict)` is its text."""
        description = self.records[0].about.get("run")
        banner = description.get("banner") if isinstance(description, dict) else None
        return build_verdict(self.records, self.relative_to, banner)

    @property
    def warnings(self) -> tuple[MeasurementWarning, ...]:
        """The reasons to trust a figure less, each once: a stable name, the evidence, and what to do."""
        return tuple(dict.fromkeys(warning for record in self.records for warning in record.warnings))

    def __repr__(self) -> str:
        cases = dict.fromkeys(f"{record.backend}/{record.variant.name}" for record in self.records)
        return f"<run {self.name}: {len(self.records)} launches of {', '.join(cases)}>"

    def _repr_html_(self) -> str:
        return format_results(self.name, self.verdict.text, self.tables, self.problems)
