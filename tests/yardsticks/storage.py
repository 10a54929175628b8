"""What keeping records costs: a whole run's recording done again, and a folder of many runs listed."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.analysis import warnings
from bench.machine.environment import PROJECT
from bench.records import store
from bench.records.record import Record
from bench.report.exporters import Report, write_report
from bench.report.tables import build_tables

RUNS = 1_000
REPEATS = 5
REFERENCE = PROJECT / "results" / "reference"


def published() -> Path:
    """The newest run that is published with the project: its records are real ones."""
    return store.find_run(REFERENCE)


def list_seconds() -> list[float]:
    """Wall seconds of `bench list runs` over a folder of many runs, some times."""
    records = list((published() / store.RECORDS).iterdir())
    with tempfile.TemporaryDirectory(prefix="head-to-head-") as folder:
        for number in range(RUNS):
            run = store.create_run(Path(folder), "standard", datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number))
            for record in records:
                (run / store.RECORDS / record.name).symlink_to(record)
        command = [sys.executable, "-m", "bench", "list", "runs", "--results", folder]
        seconds = []
        for _ in range(REPEATS):
            began = time.perf_counter()
            done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True)
            seconds.append(time.perf_counter() - began)
            if done.stdout.count("-standard") != RUNS:
                raise RuntimeError("not every run was listed")
    return seconds


def recording_share() -> float:
    """Seconds that all writing of the published run takes, over those that its workers worked: an upper bound of the
    share of its wall time.
    """
    records, _ = store.read_records(published())
    with tempfile.TemporaryDirectory(prefix="head-to-head-") as folder:
        run = store.create_run(Path(folder), "again", datetime.now(UTC))
        began = time.perf_counter()
        for record in records:  # as they come, launch by launch
            store.write_record(run, record)
        records = warnings.add_run_warnings(records)
        for record in records:  # and with the warnings of all launches
            store.write_record(run, record)
        write_report(run, Report(records, build_tables(records, "pytorch", {}, None)))
        return (time.perf_counter() - began) / _worked(records)


def _worked(records: Sequence[Record]) -> float:
    """Seconds of starts, rounds and fine-tunes, of all workers one after the other."""
    starts = sum(record.start_up.elapsed_s for record in records if record.start_up)
    rounds = sum(
        sum(kind.seconds) for record in records for kind in (record.pipeline, record.compute, record.loader) if kind
    )
    return starts + rounds + sum(tune.elapsed_s for record in records for tune in record.fine_tunes)
