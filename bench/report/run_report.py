"""The report of a stored run, read from its folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.analysis.warnings import add_run_warnings
from bench.errors import UserError
from bench.records import store
from bench.records.record import Record
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
        reason = problems[0] if problems else "no launch has finished"
        raise UserError(f"run {run} has no readable record ({reason}): measure again, or choose another run")
    records = add_run_warnings(records)
    facts, reference = _get_facts(records), relative_to or find_own_reference(records)
    tables = build_tables(records, reference, facts.get("skipped") or {}, facts.get("banner"))
    return Report(records, tables, reference), problems


def find_own_reference(records: Sequence[Record]) -> str:
    """Find the case or backend that the ratios of a run were made relative to."""
    return str(_get_facts(records).get("relative_to", "pytorch"))


def _get_facts(records: Sequence[Record]) -> Mapping[str, Any]:
    """Get what records say about their run; empty where they do not."""
    description = records[0].about.get("run")
    return description if isinstance(description, Mapping) else {}
