"""The report of a stored run, read from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.analysis.warnings import add_run_warnings
from bench.errors import UserError
from bench.records import store
from bench.report.exporters import Report
from bench.report.tables import build_tables


def read_report(run: Path, relative_to: str | None = None) -> tuple[Report, list[str]]:
    """Read the records of a run and build its report; also return a message for each record that is not usable.

    Args:
        run: the run's folder.
        relative_to: the case or backend that ratios are relative to; the run's own by default.

    Raises:
        UserError: none of its records can be read, or `relative_to` is unknown.
    """
    records, problems = store.read_records(run)
    if not records:
        reason = f" ({problems[0]})" if problems else ""
        raise UserError(f"run {run} has no readable record{reason}: measure again, or choose another run")
    records = add_run_warnings(records)
    description = records[0].about.get("run")
    facts: Mapping[str, Any] = description if isinstance(description, Mapping) else {}
    reference = relative_to or facts.get("relative_to", "pytorch")
    tables = build_tables(records, reference, facts.get("skipped") or {}, facts.get("banner"))
    return Report(records, tables, reference), problems
