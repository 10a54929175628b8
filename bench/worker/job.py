"""The job: all that a worker is told, in one JSON file."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from backends.task import Task, Variant
from bench.records.round_kinds import COMPARED, KINDS
from bench.worker.planted_fault import Plant


class AnyJob(BaseModel):
    """What every worker is told: one launch of something that is measured in rounds.

    Attributes:
        case: readable id; names the benchmarks in pytest-benchmark's file.
        variant: threads and device.
        scratch: removed by the worker if its conductor dies.
        folder: where the worker leaves its files.
        rounds: timed rounds of each kind; 0 measures nothing.
        later: of these, how many of the kinds that are compared follow only after those of all kinds.
        kinds: of rounds that are measured, see `KINDS`.
        descriptor: file descriptor of the worker's end of the channel.
        spawned: when it was started, in seconds of the monotonic clock, which all processes of a machine share.
        root, python: the sources that the worker runs and its interpreter, where they are not the conductor's; the
            worker is not told of them, as an older one would not know them.
        compiled: folder in which a framework's compiler keeps what it compiles, where that is not its usual one.
    """

    model_config = ConfigDict(frozen=True)

    case: str
    variant: Variant
    scratch: Path
    folder: Path
    rounds: int
    later: int = 0
    kinds: tuple[str, ...]
    descriptor: int
    spawned: float = 0.0
    root: Path | None = Field(None, exclude=True)
    python: Path | None = Field(None, exclude=True)
    compiled: Path | None = Field(None, exclude=True)

    def first_rounds(self, kind: str) -> int:
        """Rounds of a kind that are not later ones."""
        return self.rounds - (self.later if kind in COMPARED else 0)

    @property
    def images_per_step(self) -> int:
        """For progress alone."""
        return 1

    @property
    def pace(self) -> str:
        """Jobs of one pace do the same number of steps a round."""
        return ""


class Job(AnyJob):
    """One launch of one case. It leaves `proof.npz`, `fine_tune.npz` and `benchmark.json`.

    Attributes:
        data: safetensors file with train_images, train_labels, test_images, test_labels.
        checkpoint: folder in timm's layout.
        proof_images, proof_steps: size of the proof of sameness.
        seeds: of the whole fine-tunes that are run after the rounds.
        plant: what the self-test hides in it.
        profile_steps: training steps under the framework's profiler; 0 makes no profile.
        rests: give the baton back once built, before the warm-up: several can then be built at a time.
        features, cache_limit: the entry of the cache of features, and the bytes that all of them may take; see
            `bench.cache.features`.
    """

    backend: str
    task: Task
    data: Path
    checkpoint: Path
    proof_images: int
    proof_steps: int
    seeds: tuple[int, ...]
    kinds: tuple[str, ...] = KINDS
    plant: Plant | None = None
    profile_steps: int = 0
    rests: bool = False
    features: Path | None = None
    cache_limit: int = 0

    @property
    def pace(self) -> str:
        """See `AnyJob.pace`: a step on cached features takes a hundredth of one that computes them."""
        return self.variant.features

    @property
    def images_per_step(self) -> int:
        """Images of a training step."""
        return self.task.batch_size


class Combination(BaseModel):
    """One fine-tune of a sweep.

    Attributes:
        number: in the sweep.
        folder: where the worker leaves its `proof.npz` and `fine_tune.npz`; it exists.
        features: the entry of the cache of features; None where they have to be recomputed in every step.
        fine_tune: False where just the evidence for others' proof is wanted.
    """

    model_config = ConfigDict(frozen=True)

    number: int
    task: Task
    folder: Path
    features: Path | None
    proof_steps: int
    fine_tune: bool


class SweepJob(Job):
    """Many fine-tunes in one worker, of tasks that share images and weights; `task` is the first one's."""

    combinations: tuple[Combination, ...]

    def of(self, one: Combination, cached: bool) -> SweepJob:
        """The job of one combination, with its features from the cache or recomputed."""
        change = {"name": "cached", "features": "cached"} if cached else {}
        return self.model_copy(
            update={
                "task": one.task,
                "variant": self.variant.model_copy(update=change),
                "features": one.features if cached else None,
                "folder": one.folder,
                "proof_steps": one.proof_steps,
            }
        )


class TargetJob(AnyJob):
    """One launch of a pytest-benchmark test of somebody else's.

    Attributes:
        target: its node id, relative to `root`.
        repository: the working tree, of which no module may be imported: the revision's own are in `root`.
    """

    target: str
    repository: Path
    kinds: tuple[str, ...] = ("step",)
