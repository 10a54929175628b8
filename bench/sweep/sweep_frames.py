"""The sweep as pandas data frames: a row for each epoch, and a row for each fine-tune."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd

from bench.analysis.statistics import binomial
from bench.sweep.sweep_record import Epoch, Swept, reached
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


def epochs(records: Iterable[Swept]) -> pd.DataFrame:
    """One row per combination, backend and epoch, which is counted from 1: columns `COLUMNS`, `epoch`, `FIGURES`.

    `test_accuracy` is the share of the test images that are right, 0..1, with its 95 % binomial interval from `low` to
    `high` (see `bench.analysis.statistics.binomial`); `train_s` are seconds of training from the start of the
    first epoch to the end of this one, without evaluation on the test set, and without extracting cached features.
    """
    rows = [
        _about(swept) | {"epoch": number} | _figures(swept, epoch)
        for swept in records
        for number, epoch in enumerate(swept.epochs, start=1)
    ]
    return pd.DataFrame(rows, columns=[*COLUMNS, "epoch", *FIGURES])


def summary(records: Iterable[Swept], target: float | None) -> pd.DataFrame:
    """One row per combination and backend: `COLUMNS` and `SUMMARY`, figures of the last epoch.

    `seconds_to_target` are `train_s` at the end of the first epoch after which the test accuracy was at least `target`,
    and say "not reached", as `epochs_to_target` do, where there is none, or "no accuracy" where the weights are random;
    both are empty where no target was given or the fine-tune failed.
    """
    return pd.DataFrame([_summary(swept, target) for swept in records], columns=[*COLUMNS, *SUMMARY])


def why_missed(swept: Swept) -> str:
    """What stands in place of the time to a target that a fine-tune did not reach."""
    return NO_ACCURACY if swept.task.weights == "random" else NOT_REACHED


def _summary(swept: Swept, target: float | None) -> dict[str, Any]:
    first = reached(swept, target) if target is not None else None
    missed = why_missed(swept) if target is not None and swept.epochs else None
    return {
        **_about(swept),
        **(_figures(swept, swept.epochs[-1]) if swept.epochs else {}),
        "train_images": swept.train_images,
        "test_images": swept.test_images,
        "extraction_s": swept.extraction_s,
        "evaluation_s": swept.evaluation_s if swept.epochs else math.nan,
        "target": target,
        "epochs_to_target": first[0] if first else missed,
        "seconds_to_target": first[1].train_s if first else missed,
        "warnings": ";".join(doubt.name for doubt in swept.warnings),
        "failure": swept.failure.reason if swept.failure else None,
    }


def _about(swept: Swept) -> dict[str, Any]:
    proof = swept.proof
    return {
        "combination": swept.number,
        "task": swept.task.name,
        "task_hash": swept.task_hash,
        "backend": swept.backend,
        **{name: getattr(swept.task, name) for name in FIELDS},
        "features": swept.features,
        "recomputed_because": swept.recomputed_because,
        "proof": proof.status if proof else None,
        "not_comparable_because": proof.reason if proof and not proof.comparable else None,
    }


def _figures(swept: Swept, epoch: Epoch) -> dict[str, Any]:
    found = {"train_loss": epoch.train_loss, "train_s": epoch.train_s}
    if epoch.correct is None:
        return found
    share = binomial(epoch.correct, swept.test_images)
    return found | {"test_accuracy": share.estimate, "low": share.low, "high": share.high}
