"""The page of any result in the folder of results, made from its records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UserError
from bench.records.result_kinds import ResultKind

if TYPE_CHECKING:
    from bench.report.html.page import Page


def read_page(kind: ResultKind | None, folder: Path, relative_to: str | None = None) -> tuple[Page, list[str]]:
    """Read a result and build its page; also return a line for each record that cannot be read.

    Args:
        kind: of the result.
        folder: of the result.
        relative_to: the case that the ratios of a run are relative to at first; the run's own by default.

    Raises:
        UserError: none of its records can be read, or `relative_to` is unknown, or the result has no ratios.
    """
    if kind not in ("run", None) and relative_to is not None:
        raise UserError(f"--relative-to: the result of bench {kind} has no reference to choose: leave it out")
    match kind:
        case "sweep":
            from bench.sweep.sweep_run import read_page as read
        case "gate":
            from bench.gate.gate_output import read_page as read
        case "tune":
            from bench.tune.tune_output import read_page as read
        case "explain":
            from bench.tune.explanation_output import read_page as read
        case "roofline":
            from bench.roofline.roofline_output import read_page as read
        case "merge":
            from bench.compare.merged_output import build_merged_page
            from bench.compare.merged_runs import read_merged

            runs = read_merged(folder)
            return build_merged_page(runs), [problem for run in runs for problem in run.problems]
        case _:
            from bench.report.html.run_page import build_run_page
            from bench.report.run_report import read_report

            report, problems = read_report(folder, relative_to)
            return build_run_page(report.records, report.relative_to), problems
    return read(folder)
