"""`results.csv`: one row per launch; a field is empty where nothing was measured."""

from __future__ import annotations

from bench.records.data_frame import build_data_frame
from bench.report.exporters import Report

FILE = "results.csv"


def export(report: Report) -> str:
    """Format the report's records as CSV with a header line."""
    return str(build_data_frame(report.records).to_csv(index=False, lineterminator="\n"))
