"""The job: everything that a worker gets from its conductor, in one JSON file."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from backends.task import Task, Variant
from bench.records.round_kinds import COMPARED, KINDS
from bench.worker.planted_fault import PlantedFault


class AnyJob(BaseModel):
    """The fields of every job: one launch of something that is measured in rounds.

    Attributes:
        case: readable id; names the benchmarks in pytest-benchmark's file.
        variant: how to execute it; every job has its threads and device.
        scratch: folder that the worker removes if its conductor dies.
        folder: where the worker writes its files.
        rounds: timed rounds of each kind; 0 measures none.
        later: how many of them run later, after the first rounds of all kinds; only for the kinds in `COMPARED`.
        kinds: of rounds that are measured, see `KINDS`.
        rests: give the baton back after the build, before the warm-up: several workers can then build side by side.
        descriptor: file descriptor of the worker's end of the channel.
        spawned: when the worker was started, in seconds of the monotonic clock, which all processes of a machine share.
        root, python: folder of the worker's sources, and its interpreter; None for the conductor's. They are not
            written to the file, because a worker of an older revision would not know them.
        compiled: folder for the files of a framework's compiler; None for the compiler's usual one. Not written either.
    """

    model_config = ConfigDict(frozen=True)

    case: str
    variant: Variant
    scratch: Path
    folder: Path
    rounds: int
    later: int = 0
    kinds: tuple[str, ...]
    rests: bool = False
    descriptor: int
    spawned: float = 0.0
    root: Path | None = Field(None, exclude=True)
    python: Path | None = Field(None, exclude=True)
    compiled: Path | None = Field(None, exclude=True)

    @property
    def label(self) -> str:
        """The name of the case where people read it."""
        return self.case

    def count_first_rounds(self, kind: str) -> int:
        """Rounds of a kind that are not `later` ones."""
        return self.rounds - (self.later if kind in COMPARED else 0)

    @property
    def images_per_step(self) -> int:
        """Images of a step; progress shows them per second."""
        return 1

    @property
    def step_group(self) -> str:
        """Jobs of the same group do the same number of steps in a round."""
        return ""


class Job(AnyJob):
    """One launch of one case. The worker writes `proof.npz`, `fine_tune.npz` and `benchmark.json`.

    Attributes:
        data: safetensors file with train_images, train_labels, test_images, test_labels.
        image_files: the training images' files, undecoded, see `bench.data.images.kept_files`; None for a variant that
            reads none.
        checkpoint: folder in timm's layout.
        proof_images, proof_steps: size of the proof of sameness.
        seeds: of the complete fine-tunes that run after the rounds.
        plant: the fault that the self-test plants in it.
        profile_steps: training steps under the framework's profiler; 0 makes no profile.
        trial_steps: training steps that show whether the batch fits in memory; 0 makes none.
        nodes, node, host: number of machines that train it together, the number of this one, and the host of node 0.
        features, cache_limit: file of the cached features, and the bytes that all of them may take; see
            `bench.cache.features`.
    """

    backend: str
    task: Task
    data: Path
    checkpoint: Path
    image_files: Path | None = None
    proof_images: int
    proof_steps: int
    seeds: tuple[int, ...]
    kinds: tuple[str, ...] = KINDS
    plant: PlantedFault | None = None
    profile_steps: int = 0
    trial_steps: int = 0
    features: Path | None = None
    cache_limit: int = 0
    nodes: int = 1
    node: int = 0
    host: str = ""

    @property
    def label(self) -> str:
        """See `AnyJob.label`: backend and variant, as everywhere in tables."""
        return f"{self.backend}/{self.variant.name}"

    @property
    def step_group(self) -> str:
        """See `AnyJob.step_group`: a step on cached features takes a hundredth of one that computes them."""
        return self.variant.features

    @property
    def images_per_step(self) -> int:
        """Images of a training step."""
        return self.task.batch_size


class CombinationJob(BaseModel):
    """One fine-tune of a sweep.

    Attributes:
        number: in the sweep.
        folder: where the worker writes its `proof.npz` and `fine_tune.npz`; it exists.
        features: file of the cached features; None to recompute them in every step.
        fine_tune: False if only its evidence is needed, as the reference for the proofs of other backends.
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

    combinations: tuple[CombinationJob, ...]

    def make_combination_job(self, one: CombinationJob, cached: bool) -> SweepJob:
        """Make the job of one combination, with cached or recomputed features."""
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
    """One launch of a pytest-benchmark test of another project.

    Attributes:
        target: the test's node id, relative to `start_folder`.
        start_folder: folder in `root` in which pytest is started.
        repository: the top folder of the working tree, of which no module may be imported.
        top: the revision's files, all of whose modules may be imported; `root`, which a job's file does not have.
        source_folders: the folders in `top` in which the project's packages are, in the order of the search.
        renamed_packages: the folders of packages whose folder has another name.
        distributions: the names under which the project may be installed.
        pytest_arguments: further ones.
        keep_output: in place of a measurement, write what the function returns when it is first called to
            `output_file`.
        group: see `AnyJob.step_group`.
    """

    target: str
    start_folder: Path
    repository: Path
    top: Path
    source_folders: tuple[Path, ...]
    renamed_packages: dict[str, Path] = Field({})
    distributions: tuple[str, ...] = ()
    pytest_arguments: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ("step",)
    keep_output: bool = False
    group: str = ""

    @property
    def step_group(self) -> str:
        """See `AnyJob.step_group`: steps of different tests may take very different times."""
        return self.group

    @property
    def output_file(self) -> Path:
        """The file of what the function returns, see `keep_output`."""
        return self.folder / "output.npz"
