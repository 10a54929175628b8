"""Launch pairs: launches of the base and the head together, with interleaved rounds."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from backends.task import Variant
from bench.errors import UserError
from bench.gate.judgement import START_UP_PAIRS, LaunchPair
from bench.gate.missing_file import explain_missing_file
from bench.gate.source_folders import list_distributions, list_renamed_packages, list_source_folders
from bench.gate.source_trees import BASE, HEAD, SourceTree
from bench.measure import conductor, record_builder
from bench.measure.case_job import write_images
from bench.measure.conductor import LaunchLimits, Watcher
from bench.measure.launch_outcome import AJob, WorkerOutcome
from bench.measure.scratch_folder import make_scratch_folder
from bench.measure.start_plan import count_parallel_builds
from bench.measure.target_launch import describe_failure, extract_target_figures
from bench.plan.plan import Plan
from bench.plan.prepared_task import PreparedTask
from bench.records import launch_figures
from bench.records.launch_figures import LaunchFigures
from bench.records.record import Proof
from bench.records.round_kinds import COMPARED
from bench.worker.job import AnyJob, Job, TargetJob


class GatedCase(Protocol[AJob]):
    """A case that is measured in both arms."""

    @property
    def name(self) -> str:
        """The name of the case in progress and reports."""

    @property
    def round_seconds(self) -> float:
        """The approximate duration of a round."""

    def make_job(self, arm: str, source: SourceTree, folder: Path, first: bool, rests: bool = False) -> AJob:
        """Make the job of an arm for one launch.

        Args:
            arm: `BASE` or `HEAD`.
            source: the arm's files and interpreter.
            folder: the folder of the launch; the arm has a folder of its name in it.
            first: whether it is the first launch, which also does what is done once.
            rests: whether the worker rests after its build, so that both can be built side by side.
        """

    def extract_figures(self, outcome: WorkerOutcome[AJob]) -> LaunchFigures:
        """Extract the figures from the outcome of the arm's worker."""

    def build_proof(self, base: WorkerOutcome[AJob], head: WorkerOutcome[AJob]) -> Proof | None:
        """Compare what both arms compute; None if the launch did not prove it."""


def measure_pairs(
    case: GatedCase[Any],
    arms: Mapping[str, SourceTree],
    watcher: Watcher,
    needs_start: Callable[[Sequence[LaunchPair]], bool] = lambda pairs: len(pairs) < START_UP_PAIRS,
) -> Iterator[LaunchPair]:
    """Measure launch pairs of one case, one for each item that the caller takes; the iterator never ends.

    The arm that starts first alternates by pair, the arm that comes first alternates by round, and the environment
    variables are padded to a random size.

    Args:
        case: the case to measure.
        arms: the sources, by `BASE` and `HEAD`.
        watcher: gets the events of the workers.
        needs_start: whether the pair after those so far needs the figures of a start; the arms of other pairs are built
            side by side, if both can be and memory allows it.

    Raises:
        UserError: a worker died, so there is nothing to compare.
    """
    draw = random.Random()
    done: list[LaunchPair] = []
    can_rest, peak = False, 0
    for number in itertools.count(1):
        start = time.monotonic()
        builds = count_parallel_builds(len(arms), peak) if can_rest and not needs_start(done) else 1
        with make_scratch_folder(arms[HEAD].root.parent) as folder:
            jobs: list[AnyJob] = []
            for arm, source in arms.items():
                (folder / arm).mkdir()
                jobs.append(case.make_job(arm, source, folder, first=number == 1, rests=builds > 1))
            limits = LaunchLimits(parallel_builds=builds)
            launched = conductor.run_launch(
                jobs, case.round_seconds, draw, watcher, reverse_start=number % 2 == 0, limits=limits
            )
            outcomes = dict(zip(arms, launched.outcomes, strict=True))
            for arm, outcome in outcomes.items():
                _refuse_failed_launch(case.name, arms[arm], outcome)
            base, head = outcomes[BASE], outcomes[HEAD]
            proof = case.build_proof(base, head) if number == 1 else None
            figures = case.extract_figures(base), case.extract_figures(head)
        # A worker of an older revision does not say that it can rest after its build.
        can_rest = all(outcome.messages.get("built", {}).get("can_rest") for outcome in launched.outcomes)
        peak = max(peak, *(outcome.peak_memory for outcome in launched.outcomes))
        seconds = time.monotonic() - start
        done.append(LaunchPair(*figures, proof, seconds, launched.conditions, alone=builds == 1))
        yield done[-1]


@dataclass(frozen=True)
class TrainingCase:
    """A case of the harness: a backend that trains a task.

    The first pair also proves that both arms compute the same, and runs the whole fine-tune if the plan asks for it.
    """

    plan: Plan
    prepared: PreparedTask
    backend: str

    @property
    def name(self) -> str:
        """The name of the case in progress and reports."""
        return launch_figures.format_case_name(self.backend, self.plan.default, self.prepared.task)

    @property
    def round_seconds(self) -> float:
        """See `Suite.round_seconds`."""
        return self.plan.suite.round_seconds

    def make_job(self, arm: str, source: SourceTree, folder: Path, first: bool, rests: bool = False) -> Job:
        """See `GatedCase.make_job`."""
        data = folder / "data.safetensors"
        return Job(
            case=arm,
            backend=self.backend,
            task=self.prepared.task,
            variant=self.plan.default,
            data=data if data.is_file() else write_images(self.prepared.dataset, folder),
            scratch=source.root.parent,
            checkpoint=self.prepared.checkpoint.folder.absolute(),
            folder=folder / arm,
            proof_images=self.plan.suite.proof_images,
            proof_steps=self.plan.suite.proof_steps if first else 0,
            rounds=self.plan.suite.rounds,
            kinds=COMPARED,
            rests=rests,
            seeds=(self.prepared.task.seed,) if first and self.prepared.fine_tune else (),
            descriptor=-1,
            root=source.root,
            python=source.python,
        )

    def extract_figures(self, outcome: WorkerOutcome[Job]) -> LaunchFigures:
        """See `GatedCase.extract_figures`."""
        launched = record_builder.CaseLaunch(outcome, self.prepared, None, 1, datetime.now(UTC))
        record = record_builder.build_record(launched, None, run="", suite=self.plan.suite.name, position=0, about={})
        return launch_figures.extract_figures(record, proving=bool(outcome.job.proof_steps))

    def build_proof(self, base: WorkerOutcome[Job], head: WorkerOutcome[Job]) -> Proof | None:
        """See `GatedCase.build_proof`. None if the base fails the proof against itself: then the head broke nothing."""
        itself = record_builder.build_proof(base, base, self.prepared)
        return record_builder.build_proof(head, base, self.prepared) if itself and itself.comparable else None


@dataclass(frozen=True)
class TargetTest:
    """A pytest-benchmark test of another project.

    Attributes:
        name: its node id, relative to `start_folder`.
        repository: the top folder of the working tree.
        file: the test's file, relative to `repository`.
        start_folder: the folder in which pytest is started, relative to `repository`.
        pytest_arguments: further arguments of pytest.
    """

    name: str
    repository: Path
    file: Path
    start_folder: Path
    pytest_arguments: tuple[str, ...]
    variant: Variant
    rounds: int
    round_seconds: float

    def make_job(self, arm: str, source: SourceTree, folder: Path, first: bool, rests: bool = False) -> TargetJob:
        """See `GatedCase.make_job`."""
        return TargetJob(
            case=arm,
            variant=self.variant,
            scratch=source.root.parent,
            folder=folder / arm,
            rounds=self.rounds,
            rests=rests,
            descriptor=-1,
            root=source.root,
            python=source.python,
            target=self.name,
            start_folder=source.root / self.start_folder,
            repository=self.repository,
            top=source.root,
            source_folders=tuple(list_source_folders(source.root, source.root / self.file)),
            renamed_packages=list_renamed_packages(source.root, source.root / self.file),
            distributions=tuple(list_distributions(source.root, source.root / self.file)),
            pytest_arguments=self.pytest_arguments,
        )

    def extract_figures(self, outcome: WorkerOutcome[TargetJob]) -> LaunchFigures:
        """See `GatedCase.extract_figures`.

        Raises:
            UserError: the test measured nothing.
        """
        return extract_target_figures(self.name, outcome)

    def build_proof(self, base: WorkerOutcome[TargetJob], head: WorkerOutcome[TargetJob]) -> None:
        """See `GatedCase.build_proof`: there is none, because the gate does not know what the test computes."""
        return


def _refuse_failed_launch(name: str, source: SourceTree, outcome: WorkerOutcome[Any]) -> None:
    """Raise a `UserError` if the worker of an arm died, or ran other code than the arm's."""
    if outcome.failure:
        missing = explain_missing_file(source, (outcome.failure.reason, *outcome.failure.last_lines))
        raise UserError(
            f"cannot compare: the worker of {name} in {source.name} {describe_failure(outcome.failure)}"
            f"{f': {missing}' if missing else ''}"
        )
    # Workers of older revisions send no such message.
    if foreign := outcome.messages.get("imported", {}).get("foreign"):
        module, file = next(iter(foreign.items()))
        raise UserError(
            f"cannot compare: {module} in {source.name} was imported from {file}, which is none of its files: "
            "uninstall it from this Python environment, or name the folder of its packages in pyproject.toml or in "
            "pytest's setting `pythonpath`"
        )
