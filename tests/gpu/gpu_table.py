"""The Markdown table of `tests.gpu.engines_on_gpu`, from the folders of its runs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from statistics import median

from bench.analysis.launches import group_by_task
from bench.records import store
from bench.records.launch_rows import build_row
from bench.records.record import Record
from bench.records.units import MB
from bench.report.run_heading import build_heading
from tests.gpu import rounding

COLUMNS = (
    *("batch size", "case", "proof", "images/s, pipeline", "images/s, compute", "first step, s"),
    *("peak by the framework, MB", "reserved, MB", "by NVML, MB"),
)


def format_table(out: Path, missed: Sequence[str], when: datetime) -> str:
    """The machine with its card, the versions and the date; a row for each case; and what was not reached."""
    records = [record for run in sorted(out.glob("*Z-gpu-*")) for record in store.read_records(run)[0]]
    lines = ["# The engines on this machine", ""]
    if records:
        heading = build_heading(records)
        facts = (heading.machine, heading.versions, f"revision {heading.revision}", f"{when:%d %B %Y, %H:%M} UTC")
        lines += [*(f"- {fact}" for fact in facts), ""]
        sizes = sorted({(record.task.image_size, record.task.backbone) for record in records})
        lines += [f"{backbone} with random weights at {size} px, frozen." for size, backbone in sizes]
        lines += ["", f"| {' | '.join(COLUMNS)} |", f"| --- | --- | --- |{' ---: |' * (len(COLUMNS) - 3)}"]
        lines += [f"| {' | '.join(row)} |" for row in _build_rows(records)]
        lines += [
            "",
            "One worker at a time. JAX cannot restart its counter: its peak is that since the process began. What NVML "
            "reports contains the context of CUDA and its libraries.",
        ]
    files = {file.stem.partition("-")[2]: file for file in sorted(out.glob("rounding-*.json"))}
    if files:
        lines += ["", "## How far less precision moves the features", "", rounding.format_table(files)]
    lines += ["", "## Not reached or not complete", "", *(f"- {line}" for line in missed or ("nothing",))]
    return "\n".join(lines) + "\n"


def _build_rows(records: Sequence[Record]) -> Iterator[list[str]]:
    for task in group_by_task(records):
        for case in task.cases:
            rows = [build_row(record) for record in case.records]
            if case.first.failure:
                yield [str(case.first.task.batch_size), case.label, case.first.failure.reason, *[""] * 6]
                continue
            proof = case.first.proof
            reserved = [record.memory.device_reserved for record in case.records if record.memory]
            yield [
                str(case.first.task.batch_size),
                case.label,
                proof.status + (f" ({proof.reason})" if proof.reason else "") if proof else "none",
                *(
                    _format(median(float(row[column]) for row in rows), digits)
                    for column, digits in (
                        ("images_per_second", 0),
                        ("compute_images_per_second", 0),
                        ("first_step_s", 2),
                        ("peak_device_mb", 0),
                    )
                ),
                _format(max((size for size in reserved if size is not None), default=math.nan) / MB, 0),
                _format(max(float(row["nvml_device_mb"]) for row in rows), 0),
            ]


def _format(value: float, digits: int) -> str:
    return "no GPU" if math.isnan(value) else f"{value:,.{digits}f}"
