"""Runs on disk, made of example records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.records import store
from bench.records.record import Record
from tests.bench.example_records import about, launches


def make_records(
    step_ms: Mapping[str, float], count: int = 4, described: Mapping[str, Any] | None = None, **fields: object
) -> list[Record]:
    """Make `count` launches of each backend, with its milliseconds per step."""
    return [
        one.model_copy(update={"about": dict(about() if described is None else described)})
        for backend, each in step_ms.items()
        for one in launches(backend, count, step_ms=each, **fields)
    ]


def write_run(results: Path, name: str, records: Sequence[Record]) -> Path:
    """Write a run's folder, in which every record has the run's name."""
    run = results / name
    (run / store.RECORDS).mkdir(parents=True)
    for record in records:
        store.write_record(run, record.model_copy(update={"run": name}))
    return run
