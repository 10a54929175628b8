"""`results.csv`: the data frame, one row per launch; empty where nothing was measured."""

from __future__ import annotations

from bench.records.data_frame import frame
from bench.report import Report

FILE = "results.csv"


def export(report: Report) -> str:
    """The records' frame as CSV with a header line."""
    return str(frame(report.records).to_csv(index=False, lineterminator="\n"))
