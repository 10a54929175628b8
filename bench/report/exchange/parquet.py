"""A Parquet file with the rows of `results.csv`, typed: one row per launch, null where nothing was measured."""

from __future__ import annotations

import io
import math

from bench.errors import UserError
from bench.records.launch_rows import COLUMNS, build_row
from bench.report.exporters import Report

FILE = "results.parquet"

#: The columns that hold text or whole numbers; all others hold a float64.
TEXTS = ("run", "task", "backend", "variant", "parity", "warnings", "epoch_seconds", "epoch_accuracy")
NUMBERS = ("batch_size", "image_size", "launch", "rounds")


def export(report: Report) -> bytes:
    """Format the rows as a Parquet file.

    Raises:
        UserError: pyarrow is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UserError(
            "the format parquet needs pyarrow, which is not installed: pip install 'head-to-head[parquet]'"
        ) from None
    types = dict.fromkeys(COLUMNS, pyarrow.float64())
    types |= dict.fromkeys(TEXTS, pyarrow.string()) | dict.fromkeys(NUMBERS, pyarrow.int64())
    rows = [build_row(record) for record in report.records]
    columns = {name: pyarrow.array([_to_null(row[name]) for row in rows], type=kind) for name, kind in types.items()}
    file = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


def _to_null(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value
