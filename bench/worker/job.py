"""The job: all that a worker is told, in one JSON file."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from backends.task import Task, Variant
from bench.worker.plant import Plant


class Job(BaseModel):
    """One launch of one case.

    Attributes:
        case: readable id; names the benchmarks in pytest-benchmark's file.
        data: safetensors file with train_images, train_labels, test_images, test_labels.
        checkpoint: folder in timm's layout.
        scratch: removed by the worker if its conductor dies.
        folder: where the worker leaves `proof.npz`, `fine_tune.npz` and `benchmark.json`.
        proof_images, proof_steps: size of the proof of sameness.
        rounds: timed rounds of each kind; 0 measures nothing.
        kinds: of rounds that are measured, see `bench.conductor.KINDS`.
        seeds: of the whole fine-tunes that are run after the rounds.
        descriptor: file descriptor of the worker's end of the channel.
        plant: what the self-test hides in it.
        spawned: when it was started, in seconds of the monotonic clock, which all processes of a machine share.
        root, python: the sources that the worker runs and its interpreter, where they are not the conductor's; the
            worker is not told of them, as an older one would not know them.
    """

    model_config = ConfigDict(frozen=True)

    case: str
    backend: str
    task: Task
    variant: Variant
    data: Path
    scratch: Path
    checkpoint: Path
    folder: Path
    proof_images: int
    proof_steps: int
    rounds: int
    seeds: tuple[int, ...]
    descriptor: int
    kinds: tuple[str, ...] = ("pipeline", "compute", "loader")
    plant: Plant | None = None
    spawned: float = 0.0
    root: Path | None = Field(None, exclude=True)
    python: Path | None = Field(None, exclude=True)
