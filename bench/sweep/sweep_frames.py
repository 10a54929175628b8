"""The sweep as pandas data frames: a row for each epoch, and a row for each fine-tune."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from bench.analysis.statistics import wilson_interval
from bench.sweep.sweep_record import Epoch, SweepRecord, find_target_epoch
from bench.sweep.swept_fields import FIELDS

NOT_REACHED, NO_ACCURACY = "not reached", "no accuracy"
COLUMNS = (
    "combination",
    "task",
    "task_hash",
    "backend",
    *FIELDS,
    "features",
    "recomputed_because",
    "proof",
    "not_comparable_because",
)
FIGURES = ("train_loss", "test_accuracy", "low", "high", "train_s")
SUMMARY = (
    "train_images",
    "test_images",
    *FIGURES,
    "extraction_s",
    "evaluation_s",
    "target",
    "epochs_to_target",
    "seconds_to_target",
    "warnings",
    "failure",
)


def build_epoch_frame(records: Iterable[SweepRecord]) -> pd.DataFrame:
    """Make a data frame with a row for each combination, backend and epoch: columns `COLUMNS`, `epoch`, `FIGURES`.

    `epoch` counts from 1. `test_accuracy` is the share of correct test images, 0..1, with its 95 % binomial interval
    from `low` to `high` (see `bench.analysis.statistics.wilson_interval`). `train_s` is the time of training in seconds
    from the start of the first epoch to the end of this one, without evaluation and without extracting features.
    """
    rows = [
        _make_case_columns(record) | {"epoch": number} | _make_epoch_columns(record, epoch)
        for record in records
        for number, epoch in enumerate(record.epochs, start=1)
    ]
    return pd.DataFrame(rows, columns=[*COLUMNS, "epoch", *FIGURES])


def build_summary_frame(records: Iterable[SweepRecord], target: float | None) -> pd.DataFrame:
    """Make a data frame with a row for each combination and backend: `COLUMNS` and `SUMMARY`, after the last epoch.

    `seconds_to_target` is `train_s` at the end of the first epoch after which the test accuracy was at least `target`.
    It and `epochs_to_target` are "not reached" if there is no such epoch, "no accuracy" if the weights are random, and
    empty without a target or if the fine-tune failed.
    """
    return pd.DataFrame([_make_summary_row(record, target) for record in records], columns=[*COLUMNS, *SUMMARY])


def describe_missed_target(record: SweepRecord) -> str:
    """The text in place of the time to a target that a fine-tune did not reach."""
    return NO_ACCURACY if record.task.weights == "random" else NOT_REACHED


def _make_summary_row(record: SweepRecord, target: float | None) -> dict[str, Any]:
    first = find_target_epoch(record, target) if target is not None else None
    not_reached = describe_missed_target(record) if target is not None and record.epochs else None
    return {
        **_make_case_columns(record),
        **(_make_epoch_columns(record, record.epochs[-1]) if record.epochs else {}),
        "train_images": record.train_images,
        "test_images": record.test_images,
        "extraction_s": record.extraction_s,
        "evaluation_s": record.evaluation_s if record.epochs else math.nan,
        "target": target,
        "epochs_to_target": first[0] if first else not_reached,
        "seconds_to_target": first[1].train_s if first else not_reached,
        "warnings": ";".join(warning.name for warning in record.warnings),
        "failure": record.failure.reason if record.failure else None,
    }


def _make_case_columns(record: SweepRecord) -> dict[str, Any]:
    proof = record.proof
    return {
        "combination": record.number,
        "task": record.task.name,
        "task_hash": record.task_hash,
        "backend": record.backend,
        **{name: getattr(record.task, name) for name in FIELDS},
        "features": record.features,
        "recomputed_because": record.recomputed_because,
        "proof": proof.status if proof else None,
        "not_comparable_because": proof.reason if proof and not proof.comparable else None,
    }


def _make_epoch_columns(record: SweepRecord, epoch: Epoch) -> dict[str, Any]:
    found = {"train_loss": epoch.train_loss, "train_s": epoch.train_s}
    if epoch.correct is None:
        return found
    share = wilson_interval(epoch.correct, record.test_images)
    return found | {"test_accuracy": share.estimate, "low": share.low, "high": share.high}
