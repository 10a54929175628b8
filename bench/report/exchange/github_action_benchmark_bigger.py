"""What the action github-action-benchmark reads as `customBiggerIsBetter`: throughput and accuracy of every case."""

from __future__ import annotations

from bench.report.exchange.github_action_benchmark import format_figures
from bench.report.exporters import Report

FILE = "bigger-is-better.json"


def export(report: Report) -> str:
    """Format the figures of which a bigger value is better; the tool of the action is `customBiggerIsBetter`."""
    return format_figures(report, smaller_is_better=False)
