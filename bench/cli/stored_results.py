"""What stored results are shown with: the page of any result, and what is printed of one that is no run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bench.errors import UserError
from bench.records.result_kinds import ResultKind

if TYPE_CHECKING:
    from rich.console import Console

    from bench.report.html.page import Page

#: The commands whose results one function reads as a page, and another prints.
CommandKind = Literal["sweep", "gate", "tune", "explain", "roofline", "run --target"]


def read_page(kind: ResultKind | None, folder: Path, relative_to: str | None = None) -> tuple[Page, list[str]]:
    """Read a result and build its page; also return a line for each record that cannot be read.

    Args:
        kind: of the result.
        folder: of the result.
        relative_to: the case that the ratios of a run are relative to at first; the run's own by default.

    Raises:
        UserError: none of its records can be read, or `relative_to` is unknown, or the result has no ratios.
    """
    if kind not in ("run", None):
        check_reference(kind, relative_to)
    match kind:
        case "merge":
            from bench.compare.merged_output import build_merged_page
            from bench.compare.merged_runs import read_merged

            runs = read_merged(folder)
            return build_merged_page(runs), [problem for run in runs for problem in run.problems]
        case "run" | None:
            from bench.report.html.run_page import build_run_page
            from bench.report.run_report import read_report

            report, problems = read_report(folder, relative_to)
            return build_run_page(report.records, report.relative_to), problems
        case _:
            return find_functions(kind)[0](folder)


def find_functions(
    kind: CommandKind,
) -> tuple[Callable[[Path], tuple[Page, list[str]]], Callable[[Console, Path], int]]:
    """Find the functions that read a command's result as a page, and that print it and return the exit status."""
    match kind:
        case "sweep":
            from bench.sweep.sweep_run import read_page as read
            from bench.sweep.sweep_run import show_sweep as show
        case "gate":
            from bench.gate.gate_output import read_page as read
            from bench.gate.gate_output import show_gate as show
        case "tune":
            from bench.tune.tune_output import read_page as read
            from bench.tune.tune_output import show_tune as show
        case "explain":
            from bench.tune.explanation_output import read_page as read
            from bench.tune.explanation_output import show_explanation as show
        case "roofline":
            from bench.roofline.roofline_output import read_page as read
            from bench.roofline.roofline_output import show_roofline as show
        case "run --target":
            from bench.head_to_head.target_output import read_page as read
            from bench.head_to_head.target_output import show_targets as show
    return read, show


def check_reference(kind: ResultKind | None, relative_to: str | None) -> None:
    """Check that no reference is chosen for a result without ratios.

    Raises:
        UserError: one is.
    """
    if relative_to is not None:
        raise UserError(f"--relative-to: the result of bench {kind} has no reference to choose: leave it out")
