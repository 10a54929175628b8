"""The record of one fine-tune of a sweep: a sealed file, `combinations/<number>-<backend>.json`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from backends.task import Task
from bench.records import store
from bench.records.checksummed_json import seal, unseal
from bench.records.record import Doubt, Failure, Proof

SCHEMA = 1
KIND = "swept"
FOLDER = "combinations"


class Epoch(BaseModel):
    """What stood after an epoch.

    Attributes:
        train_loss: mean over the epoch's images, as each was before its update.
        correct: test images that are right; None with random weights, whose accuracy would tell of the draw.
        train_s: seconds of training since the first epoch began, input pipeline included, looks at the test set not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train_loss: float
    correct: int | None
    train_s: float


class Swept(BaseModel):
    """One combination, fine-tuned by one backend.

    Attributes:
        number: of the combination.
        overridden: fields that are not as in the table of tasks.
        features: what the head was trained on; None where it did not come so far.
        recomputed_because: why they were not cached; None where they were, or that was not wanted.
        extraction_s: seconds that computing the cached features took, now or when they were kept.
        epochs: in order; none where the worker died.
        evaluation_s, closing_s: looks at the test set, all together, and the end of the input pipeline.
        elapsed_s: from the fine-tune's begin to its end, all included.
        warnings: doubts about this fine-tune's times: what else the machine did meanwhile.
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
    warnings: tuple[Doubt, ...]
    failure: Failure | None


def reached(swept: Swept, target: float) -> tuple[int, Epoch] | None:
    """The first epoch after which at least `target` of the test images were right, counted from 1; None if never."""
    for number, epoch in enumerate(swept.epochs, start=1):
        if epoch.correct is not None and epoch.correct / swept.test_images >= target:
            return number, epoch
    return None


def write(run: Path, swept: Swept) -> None:
    """Write one into the sweep's folder, atomically.

    Raises:
        UserError: the disk is full, or the folder is not writable.
    """
    path = run / FOLDER / f"{swept.number:04d}-{swept.backend}.json"
    store.write_text(path, seal(KIND, swept) + "\n", finished_in=run)


def read(run: Path) -> tuple[list[Swept], list[str]]:
    """A sweep's records, in order, and one line for each file that had to be left out."""
    found, problems = [], []
    for path in sorted((run / FOLDER).glob("*.json")):
        try:
            found.append(unseal(KIND, path.read_bytes(), Swept, SCHEMA))
        except (ValueError, OSError) as error:
            problems.append(f"{FOLDER}/{path.name} is left out: {error}")
    return found, problems
