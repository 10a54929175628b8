"""The record of one fine-tune of a sweep: a file with a checksum, `combinations/<number>-<backend>.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from backends.task import Task
from bench.records import store
from bench.records.checksummed_json import read_checksummed_folder, to_checksummed_json
from bench.records.record import Failure, MeasurementWarning, Proof
from bench.records.result_kinds import FOLDERS

SCHEMA = 1
KIND = "swept"
FOLDER = FOLDERS["sweep"]


class Epoch(BaseModel):
    """The state after an epoch.

    Attributes:
        train_loss: mean over the epoch's images, each before its own update.
        correct: number of correct test images; None with random weights, whose accuracy depends on the draw.
        train_s: seconds of training since the start of the first epoch, with the input pipeline, without evaluation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train_loss: float
    correct: int | None
    train_s: float


class SweepRecord(BaseModel):
    """The record of one combination, fine-tuned by one backend. All times are in seconds.

    Attributes:
        number: the number of the combination.
        overridden: fields that differ from the table of tasks.
        features: what the head was trained on; None if the fine-tune did not get that far.
        recomputed_because: why features were not cached; None if they were, or with `--recompute`.
        extraction_s: computing the cached features, in this sweep or when they were cached.
        epochs: in order; empty if the worker died.
        evaluation_s, closing_s: evaluation on the test set in total, and closing the input pipeline.
        elapsed_s: the whole fine-tune from start to end.
        warnings: reasons to trust the times of this fine-tune less: what else the machine did meanwhile.
        failure: how the worker died.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA
    number: int
    backend: str
    task: Task
    task_hash: str
    overridden: tuple[str, ...]
    dataset_fingerprint: str
    checkpoint_hash: str
    train_images: int
    test_images: int
    started: str
    resolved: dict[str, object]
    features: Literal["cached", "recomputed"] | None
    recomputed_because: str | None
    extraction_s: float | None
    epochs: tuple[Epoch, ...]
    evaluation_s: float
    closing_s: float
    elapsed_s: float
    proof: Proof | None
    warnings: tuple[MeasurementWarning, ...]
    failure: Failure | None


def find_target_epoch(record: SweepRecord, target: float) -> tuple[int, Epoch] | None:
    """Find the first epoch after which the test accuracy was at least `target`; its number from 1. None if never."""
    for number, epoch in enumerate(record.epochs, start=1):
        if epoch.correct is not None and epoch.correct / record.test_images >= target:
            return number, epoch
    return None


def write_record(run: Path, record: SweepRecord) -> None:
    """Write a record into the sweep's folder, atomically.

    Raises:
        UserError: the disk is full, or the folder is not writable.
    """
    path = run / FOLDER / f"{record.number:04d}-{record.backend}.json"
    store.write_text(path, to_checksummed_json(KIND, record) + "\n", finished_in=run)


def read_records(run: Path) -> tuple[list[SweepRecord], list[str]]:
    """Read a sweep's records, in order; also a line for each file that was left out."""
    return read_checksummed_folder(KIND, run / FOLDER, SweepRecord, SCHEMA)
