"""Runs on disk, made of example records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.plan import suite
from bench.plan.request import Request
from bench.records import store
from bench.records.record import Record
from tests.bench.example_records import launches
from tests.bench.processes import PROJECT


def write_run(results: Path, name: str, records: Sequence[Record], **described: object) -> Path:
    """Write a run whose suite has four launches, with its options; `described` is part of its description."""
    run = results / name
    (run / store.RECORDS).mkdir(parents=True)
    of_suite = suite.load("quick").model_copy(update={"launches": 4}).model_dump(mode="json")
    for one in records:
        about = {**one.about, "run": {"suite": of_suite, "relative_to": "pytorch", **described}}
        store.write_record(run, one.model_copy(update={"run": name, "about": about}))
    fields = asdict(Request()) | {"results": ".."}
    (run / "request.json").write_text(json.dumps(fields))
    return run


def write_history(results: Path, step_ms: Sequence[float], count: int = 4, **fields: Any) -> list[Path]:
    """Write a run a day from 2026-01-01 on, each of a commit of its own, in which a step of PyTorch takes so long."""
    environment = json.loads((store.find_run(PROJECT / "results/reference") / "environment.json").read_text())
    found = []
    for day, milliseconds in enumerate(step_ms, start=1):
        about = environment | {
            "time": f"2026-01-{day:02}T00:00:00+00:00",
            "git": {"revision": f"{day:040x}"[::-1], "dirty": False},
        }
        records = [*launches("pytorch", count, step_ms=milliseconds, **fields), *launches("keras", count, **fields)]
        for number, one in enumerate(records):
            variant = one.variant.model_copy(update={"threads": 2})
            records[number] = one.model_copy(update={"about": about, "variant": variant})
        found.append(write_run(results, f"202601{day:02}T000000Z-quick", records))
    return found
