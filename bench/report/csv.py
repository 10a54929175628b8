"""`results.csv`: one row per launch; a field is empty where nothing was measured."""

from __future__ import annotations

import csv
import io
import math

from bench.records.launch_rows import COLUMNS, build_row
from bench.report.exporters import Report

FILE = "results.csv"


def export(report: Report) -> str:
    """Format the report's records as CSV with a header line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for record in report.records:
        writer.writerow([_empty_if_nan(value) for value in build_row(record).values()])
    return text.getvalue()


def _empty_if_nan(value: object) -> object:
    return "" if isinstance(value, float) and math.isnan(value) else value
