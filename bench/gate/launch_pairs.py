"""Launch pairs: one launch of base and head at a time, their rounds interleaved."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from backends.task import Variant
from bench.errors import UserError
from bench.gate.judgement import Pair
from bench.gate.source_trees import BASE, HEAD, Source
from bench.measure import conductor, record_builder
from bench.measure.conductor import AJob, Outcome, Watcher
from bench.measure.run import write_images
from bench.plan.request import Plan, Prepared
from bench.records import launch_figures
from bench.records.launch_figures import Figures
from bench.records.record import Phase, Proof
from bench.records.round_kinds import COMPARED
from bench.worker.job import AnyJob, Job, TargetJob
from bench.worker.target_plugin import KIND


class Measured(Protocol[AJob]):
    """What is measured in both arms."""

    @property
    def name(self) -> str:
        """As it is called while it is measured."""

    @property
    def round_seconds(self) -> float:
        """About how long a round lasts."""

    def job(self, arm: str, source: Source, folder: Path, first: bool) -> AJob:
        """The job of an arm in one launch, whose folder it is; the first launch does what needs doing once."""

    def figures(self, outcome: Outcome[AJob]) -> Figures:
        """From what its worker said and left."""

    def proof(self, base: Outcome[AJob], head: Outcome[AJob]) -> Proof | None:
        """Whether both compute the same, where the launch was to tell."""


def measure(measured: Measured[Any], arms: Mapping[str, Source], watcher: Watcher) -> Iterator[Pair]:
    """Launch pairs of one case without end; whoever asks for the next one has decided to go on.

    Who starts first alternates by pair, who comes first in a round by round, and the environment's size is padded at
    random.

    Args:
        measured: the case.
        arms: the sources, by `BASE` and `HEAD`.
        watcher: told of all progress.

    Raises:
        UserError: a worker died, so there is nothing to compare.
    """
    draw = random.Random()
    number = 0
    while True:
        number += 1
        began = time.monotonic()
        with tempfile.TemporaryDirectory(dir=arms[HEAD].root.parent) as name:
            jobs: list[AnyJob] = []
            for arm, source in arms.items():
                (Path(name) / arm).mkdir()
                jobs.append(measured.job(arm, source, Path(name), first=number == 1))
            done = conductor.launch(jobs, measured.round_seconds, draw, watcher, reverse_start=number % 2 == 0)
            outcomes = dict(zip(arms, done.outcomes, strict=True))
            for arm, outcome in outcomes.items():
                _refuse_dead(measured.name, arms[arm], outcome)
            base, head = outcomes[BASE], outcomes[HEAD]
            proof = measured.proof(base, head) if number == 1 else None
            found = measured.figures(base), measured.figures(head)
        yield Pair(*found, proof, time.monotonic() - began)


@dataclass(frozen=True)
class Case:
    """A backend's training of a task.

    The first pair also proves that both arms compute the same, and fine-tunes where the plan says so.
    """

    plan: Plan
    prepared: Prepared
    backend: str

    @property
    def name(self) -> str:
        """As it is called while it is measured."""
        return launch_figures.name_of(self.backend, self.plan.default, self.prepared.task)

    @property
    def round_seconds(self) -> float:
        """See `Suite.round_seconds`."""
        return self.plan.suite.round_seconds

    def job(self, arm: str, source: Source, folder: Path, first: bool) -> Job:
        """See `Measured.job`."""
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
            seeds=(self.prepared.task.seed,) if first and self.prepared.fine_tune else (),
            descriptor=-1,
            root=source.root,
            python=source.python,
        )

    def figures(self, outcome: Outcome[Job]) -> Figures:
        """See `Measured.figures`."""
        launched = record_builder.Launched(outcome, self.prepared, None, 1, datetime.now(UTC))
        record = record_builder.record(launched, None, run="", suite=self.plan.suite.name, position=0, about={})
        return launch_figures.of_record(record, proving=bool(outcome.job.proof_steps))

    def proof(self, base: Outcome[Job], head: Outcome[Job]) -> Proof | None:
        """See `Measured.proof`. What the base does not keep either, the head did not break."""
        own = record_builder.proof(base, base, self.prepared)
        return record_builder.proof(head, base, self.prepared) if own and own.comparable else None


@dataclass(frozen=True)
class Target:
    """A pytest-benchmark test of somebody else's: `name` is its node id, `repository` the working tree's top folder."""

    name: str
    repository: Path
    variant: Variant
    rounds: int
    round_seconds: float

    def job(self, arm: str, source: Source, folder: Path, first: bool) -> TargetJob:
        """See `Measured.job`."""
        return TargetJob(
            case=arm,
            variant=self.variant,
            scratch=source.root.parent,
            folder=folder / arm,
            rounds=self.rounds,
            descriptor=-1,
            root=source.root,
            python=source.python,
            target=self.name,
            repository=self.repository,
        )

    def figures(self, outcome: Outcome[TargetJob]) -> Figures:
        """See `Measured.figures`.

        Raises:
            UserError: the test measured nothing.
        """
        rounds = record_builder.step_seconds(outcome).get(KIND)
        if rounds is None or "memory" not in outcome.said:
            raise UserError(f"cannot compare: {self.name} times nothing: call pytest-benchmark's `benchmark` in it")
        phases = [Phase(**phase) for phase in outcome.said["memory"]["host"]]
        once = {
            "first-step": outcome.said["first-step"]["seconds"],
            "host-memory": max((phase.peak + phase.children for phase in phases if phase.peak), default=None),
            "device-memory": outcome.nvml_device,
        }
        values = {name: (float(value),) for name, value in once.items() if value}
        return Figures(self.name, {KIND: rounds, **values})

    def proof(self, base: Outcome[TargetJob], head: Outcome[TargetJob]) -> None:
        """See `Measured.proof`: what the test computes is its own matter."""
        return


def _refuse_dead(name: str, source: Source, outcome: Outcome[Any]) -> None:
    if outcome.failure:
        lines = "; ".join(line.strip() for line in outcome.failure.last_lines[-3:] if line.strip())
        raise UserError(
            f"cannot compare: the worker of {name} in {source.name} died in {outcome.failure.phase}: "
            f"{outcome.failure.reason}{f' ({lines})' if lines else ''}"
        )
