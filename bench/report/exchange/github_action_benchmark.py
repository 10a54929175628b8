"""What the action github-action-benchmark reads as `customSmallerIsBetter`: times and memory of every case.

A file of this format has one direction, so throughput and accuracy are in a file of their own: see
`bench.report.exchange.github_action_benchmark_bigger`. Format: the action's README, "custom benchmarks".
"""

from __future__ import annotations

import json

from bench.analysis.launches import group_by_task
from bench.report.exchange.case_figures import CaseFigure, list_figures
from bench.report.exporters import Report

FILE = "smaller-is-better.json"


def export(report: Report) -> str:
    """Format the figures of which a smaller value is better; the tool of the action is `customSmallerIsBetter`."""
    return format_figures(report, smaller_is_better=True)


def format_figures(report: Report, smaller_is_better: bool) -> str:
    """Format the figures of one direction as a list of entries."""
    entries = [
        _build_entry(case.first.case, figure)
        for task in group_by_task(report.records)
        for case in task.cases
        for figure in list_figures(case)
        if figure.smaller_is_better == smaller_is_better
    ]
    return json.dumps(entries, indent=1) + "\n"


def _build_entry(case: str, figure: CaseFigure) -> dict[str, object]:
    entry: dict[str, object] = {
        "name": f"{case} {figure.measure}",
        "unit": figure.unit,
        "value": figure.value.estimate,
    }
    if figure.value.low is not None and figure.value.high is not None:
        entry["range"] = f"{figure.value.low:.6g} to {figure.value.high:.6g}"
    entry["extra"] = f"values: {', '.join(f'{value:.6g}' for value in figure.by_launch.values())}"
    return entry
