"""What `bench explain` prints and leaves in the folder of results, and what `bench show` prints of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from bench.analysis.warning_summary import format_warning
from bench.errors import UserError
from bench.plan.tuned_variants import TunedVariant
from bench.records import store
from bench.report.html.page import Page
from bench.report.html.result_page import write_or_explain
from bench.report.plots.plot_file import FORMATS, write_plot
from bench.report.terminal import render_table
from bench.tune import stored_explanation
from bench.tune.explanation_advice import advise
from bench.tune.explanation_page import build_explanation_page
from bench.tune.explanation_tables import build_break_even_table, build_effect_table
from bench.tune.stored_explanation import StoredExplanation
from bench.tune.tune_figures import build_knob_waterfall

PrintLine = Callable[[str], object]


def check_plot_file(output: Path | None, tuned: TunedVariant, several: bool) -> Path | None:
    """Check the file that the user wants a plot in; None if there is none.

    Args:
        output: the user's file.
        tuned: the case; its name is added to the file's if there are several.
        several: whether several cases are explained.

    Raises:
        UserError: it cannot be written; the user should know that before minutes of measuring.
    """
    if output is None:
        return None
    if output.suffix not in FORMATS:
        raise UserError(f"--output {output}: end it in {', '.join(FORMATS)}")
    file = output.with_stem(f"{output.stem}-{tuned.backend}-{tuned.task}") if several else output
    store.make_folder(file.parent)
    store.check_writable(file)
    return file


def print_explanation(console: Console, one: StoredExplanation) -> None:
    """Print the tables of a case, its warnings, and what to do."""
    for table in (
        build_effect_table(one.title, one.explanation, one.launches, one.rounds),
        build_break_even_table(one.title, one.explanation.start_ups, one.steps_in_epoch),
    ):
        console.print(render_table(table))
    for warning in one.explanation.warnings:
        console.print(f"• {format_warning(warning)}", style="yellow", markup=False, highlight=False)
    console.print(advise(one.explanation, one.steps_in_epoch), markup=False, highlight=False)


def keep(folder: Path, one: StoredExplanation, plot: Path | None) -> Iterator[str]:
    """Write an explanation and its plot; yields a line for each file that cannot be written: the tables stand.

    Args:
        folder: of the explanations.
        one: the explanation.
        plot: the plot's file; None for one in the folder.
    """
    try:
        stored_explanation.write(folder, one)
    except UserError as error:
        yield f"warning: {error}"
    try:
        write_plot(build_knob_waterfall(one), plot or folder / f"{one.name}.png", build_explanation_page([one]).facts)
    except UserError as error:
        yield f"warning: {error}: bench plot draws it again from what is stored"


def finish(console: Console, folder: Path) -> None:
    """Write the page, and say where the results are."""
    found, _ = stored_explanation.read_all(folder)
    if found and (problem := write_or_explain(folder, build_explanation_page(found))):
        console.print(problem, style="yellow", soft_wrap=True, markup=False)
    console.print(f"Results: {folder}", soft_wrap=True, markup=False, highlight=False)


def read_page(folder: Path) -> tuple[Page, list[str]]:
    """Read the explanations of a folder and build their page; also return a line for each file that was left out.

    Raises:
        UserError: none of them can be read.
    """
    found, problems = _read_some(folder)
    return build_explanation_page(found), problems


def _read_some(folder: Path) -> tuple[list[StoredExplanation], list[str]]:
    found, problems = stored_explanation.read_all(folder)
    if not found:
        raise UserError(f"{folder} has no explanation that can be read: run bench explain again")
    return found, problems


def show_explanation(console: Console, folder: Path) -> int:
    """Print the explanations of a folder again. The exit status is 0; 1 if a file could not be read.

    Raises:
        UserError: none of them can be read.
    """
    found, problems = _read_some(folder)
    for problem in problems:
        console.print(problem, style="yellow", markup=False, soft_wrap=True)
    for one in found:
        print_explanation(console, one)
    return 1 if problems else 0
