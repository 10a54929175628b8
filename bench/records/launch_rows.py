"""Records as rows, one for each launch: what `results.csv` holds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable

from bench.records.record import Memory, Record, Rounds
from bench.records.units import MB

COLUMNS = (
    "run",
    "task",
    "backend",
    "variant",
    "batch_size",
    "image_size",
    "launch",
    "rounds",
    "images_per_second",
    "compute_images_per_second",
    "first_step_s",
    "import_s",
    "build_s",
    "peak_host_mb",
    "import_host_mb",
    "peak_device_mb",
    "nvml_device_mb",
    "train_loss",
    "test_accuracy",
    "finetune_s",
    "parity",
    "warnings",
    "epoch_seconds",
    "epoch_accuracy",
)


def build_row(record: Record) -> dict[str, object]:
    """Build the row of a launch, with the columns `COLUMNS`.

    `rounds` counts the pipeline rounds; `images_per_second` is the images of a round divided by the seconds of
    the median round; memory is in MB of 2**20 bytes; `train_loss` is the last epoch's, `test_accuracy` a share,
    0..1, both of the launch's first fine-tune; `parity` is the proof's status; `warnings` are the warnings' names,
    joined by `;`. So are `epoch_seconds`, the seconds of training until the end of each epoch of that fine-tune, and
    `epoch_accuracy`, the share after each epoch; empty where they are not known. What was not measured is NaN, and so
    are the device columns where there is no GPU.
    """
    tune, start, memory = next(iter(record.fine_tunes), None), record.start_up, record.memory
    imported = memory.phase("import") if memory else None
    return {
        "run": record.run,
        "task": record.task.name,
        "backend": record.backend,
        "variant": record.variant.name,
        "batch_size": record.task.batch_size,
        "image_size": record.task.image_size,
        "launch": record.launch,
        "rounds": len(record.pipeline.seconds) if record.pipeline else 0,
        "images_per_second": _images_per_second(record.pipeline),
        "compute_images_per_second": _images_per_second(record.compute),
        "first_step_s": start.first_step_s if start else math.nan,
        "import_s": start.import_s if start else math.nan,
        "build_s": start.build_s if start else math.nan,
        "peak_host_mb": _to_mb(find_host_peak(memory)) if memory else math.nan,
        "import_host_mb": _to_mb(imported.peak) if imported else math.nan,
        "peak_device_mb": _to_mb(memory.device_allocated) if memory else math.nan,
        "nvml_device_mb": _to_mb(memory.nvml_device) if memory else math.nan,
        "train_loss": tune.train_loss[-1] if tune and tune.train_loss else math.nan,
        "test_accuracy": tune.correct / tune.test_images if tune and tune.correct is not None else math.nan,
        "finetune_s": tune.seconds if tune else math.nan,
        "parity": record.proof.status if record.proof else "",
        "warnings": ";".join(warning.name for warning in record.warnings),
        "epoch_seconds": _join(tune.epoch_seconds if tune else ()),
        "epoch_accuracy": _join(correct / tune.epoch_test_images for correct in tune.epoch_correct) if tune else "",
    }


def find_host_peak(memory: Memory) -> int | None:
    """Return the highest resident memory over all phases, in bytes; None where the system does not report it."""
    return max((phase.peak + phase.children for phase in memory.host if phase.peak is not None), default=None)


def find_local_peak(record: Record) -> int | None:
    """Return the part of `find_host_peak` that processes of the measuring machine have; None where it is not known.

    A case on several machines has its processes on them in equal parts, those of the measuring one first.
    """
    if record.memory is None:
        return None
    nodes = record.resolved.get("nodes", 1)
    if not isinstance(nodes, int) or nodes == 1:
        return find_host_peak(record.memory)
    local = [
        sum(filter(None, phase.processes[: len(phase.processes) // nodes])) + phase.children // nodes
        for phase in record.memory.host
        if phase.peak is not None
    ]
    return max(local, default=None)


def _join(values: Iterable[float]) -> str:
    return ";".join(f"{value:.6g}" for value in values)


def _images_per_second(rounds: Rounds | None) -> float:
    return rounds.images / statistics.median(rounds.seconds) if rounds and rounds.seconds else math.nan


def _to_mb(size: int | None) -> float:
    return math.nan if size is None else size / MB
