"""What `bench tune` prints and leaves in the folder of results, and what `bench show` prints of it.

The home keeps the variant that `--variant tuned` uses; the folder of results keeps what each tune found.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from bench.analysis.warning_summary import format_warning
from bench.errors import UserError
from bench.plan.tuned_variants import TunedVariant
from bench.records import store
from bench.records.private_paths import shorten_command
from bench.report.html.page import Page
from bench.report.html.result_page import write_or_explain
from bench.report.terminal import render_table
from bench.tune import stored_tune
from bench.tune.stored_tune import StoredTune
from bench.tune.tune_description import advise, build_knob_table, describe_outcome
from bench.tune.tune_page import build_tune_page


class TuneOutput:
    """The results of a tune: each case is printed and kept as soon as it is decided.

    Attributes:
        folder: of the results; None until there is one.
        kept: how many are kept.
    """

    def __init__(self, console: Console, results: Path, about: Mapping[str, Any]) -> None:
        self.console, self.results = console, results
        self.about = {**about, "run": {"command": shorten_command(sys.argv[1:])}}
        self.folder: Path | None = None
        self.kept = 0

    def add(self, tuned: TunedVariant, saved: str) -> None:
        """Print what was found for a case, with a line about where the variant is saved, and keep it."""
        print_tuned(self.console, tuned)
        self.console.print(saved, soft_wrap=True, markup=False)
        one = StoredTune(about=self.about, tuned=tuned)
        try:
            if self.folder is None:
                self.folder = store.create_run(self.results, "tune", datetime.now(UTC), stored_tune.FOLDER)
            stored_tune.write(self.folder, one)
            self.kept += 1
        except UserError as error:
            self.console.print(f"warning: {error}", style="yellow", markup=False, soft_wrap=True)

    def finish(self) -> None:
        """Write the page, and say where the results are."""
        if self.folder is not None:
            if self.kept:
                write_page(self.console, self.folder)
            self.console.print(f"Results: {self.folder}", soft_wrap=True, markup=False, highlight=False)


def print_tuned(console: Console, tuned: TunedVariant) -> None:
    """Print the knobs of a tuned variant, the warnings about it, what it gains, and what to do with it."""
    console.print(render_table(build_knob_table(tuned)))
    for warning in tuned.warnings:
        console.print(f"• {format_warning(warning)}", style="yellow", markup=False, highlight=False)
    console.print(describe_outcome(tuned), markup=False, highlight=False)
    console.print(advise(tuned), markup=False, highlight=False)


def read_page(folder: Path) -> tuple[Page, list[str]]:
    """Read the results of a tune and build their page; also return a line for each file that was left out.

    Raises:
        UserError: none of them can be read.
    """
    found, problems = _read_some(folder)
    return build_tune_page([one.tuned for one in found], found[0].about), problems


def show_tune(console: Console, folder: Path) -> int:
    """Print the results of a tune again. The exit status is 0; 1 if a file could not be read.

    Raises:
        UserError: none of them can be read.
    """
    found, problems = _read_some(folder)
    for problem in problems:
        console.print(problem, style="yellow", markup=False, soft_wrap=True)
    for one in found:
        print_tuned(console, one.tuned)
    return 1 if problems else 0


def write_page(console: Console, folder: Path) -> None:
    """Write the page of a tune; a line says so if it cannot be written."""
    if problem := write_or_explain(folder, read_page(folder)[0]):
        console.print(problem, style="yellow", markup=False, soft_wrap=True)


def _read_some(folder: Path) -> tuple[list[StoredTune], list[str]]:
    found, problems = stored_tune.read_all(folder)
    if not found:
        raise UserError(f"{folder} has no result of a tune that can be read: run bench tune again")
    return found, problems
