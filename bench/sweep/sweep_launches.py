"""The sweep's launches: a worker of each backend fine-tunes one combination after the other, in turns with the others.

Each is written down as soon as it is finished. PyTorch, where it is installed, shows each combination's evidence first,
as the reference of the others' proofs.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import backends
from backends.task import Task, Variant
from bench.analysis import warnings
from bench.cache import features
from bench.machine.gpu import check_device, state
from bench.machine.load import between, look
from bench.measure import conductor, record_builder
from bench.measure.conductor import Outcome
from bench.measure.run import write_images
from bench.parity.tolerances import REFERENCE
from bench.plan import variants
from bench.records.record import Doubt, Failure, Proof
from bench.sweep.grid import Combination, Grid
from bench.sweep.sweep_record import Epoch, Swept
from bench.worker.channel import Message
from bench.worker.job import Combination as Work
from bench.worker.job import Job, SweepJob

#: Of the proof of each combination. So many steps, or as few as train on about so many images, but enough for momentum
#: to matter: with many combinations a longer proof would take longer than a head's fine-tune on cached features.
PROOF_IMAGES = 16
PROOF_STEPS, PROOF_STEP_IMAGES, LEAST_PROOF_STEPS = 6, 128, 2
#: Where a worker is that has not imported its framework yet: what killed it there would kill the next one too.
START = "start"
Missing = Sequence[tuple[Combination, str]]


@dataclass(frozen=True)
class Settings:
    """How the sweep is run: whether cached features are used, and the bytes that all of them may take."""

    recompute: bool
    cache_limit: int


@dataclass(frozen=True)
class Ends:
    """Where results go.

    Attributes:
        done: numbers and backends of what is finished; grows.
        keep: is given every record as soon as it is there.
        watch: is told of everything that workers say.
    """

    done: set[tuple[int, str]]
    keep: Callable[[Swept], object]
    watch: Callable[[str, Message], object]


def sweep(grid: Grid, settings: Settings, ends: Ends) -> None:
    """Fine-tune all that is not done; what a worker died of counts as done."""
    for group in grid.groups():
        while missing := [(one, b) for one in group for b in grid.backends if (one.number, b) not in ends.done]:
            with tempfile.TemporaryDirectory(prefix="head-to-head-") as folder:
                _Launch(grid, settings, missing, Path(folder), ends).run()


def cached_refused(backend: str, default: Variant, task: Task) -> str | None:
    """Why a backend cannot train this task on cached features; None where it can."""
    return variants.refused(backend, default.model_copy(update={"features": "cached"}), task)


def proof_steps(batch_size: int) -> int:
    """Steps of a combination's proof."""
    return max(LEAST_PROOF_STEPS, min(PROOF_STEPS, PROOF_STEP_IMAGES // batch_size))


class _Launch:
    """One start of the workers, over all that is missing of a group. A `bench.measure.conductor.Watcher`."""

    def __init__(self, grid: Grid, settings: Settings, missing: Missing, folder: Path, ends: Ends) -> None:
        self.grid, self.settings, self.folder, self.ends = grid, settings, folder, ends
        self.missing = missing
        self.combinations = {one.number: one for one, _ in missing}
        self.first = missing[0][0].prepared
        self.reference = None if backends.missing_packages(REFERENCE[0]) else REFERENCE[0]
        self.jobs = {job.backend: job for job in self._jobs()}
        #: What each worker said of its combination, and which one that is.
        self.said: dict[str, dict[str, Message]] = {}
        #: What the reference showed of each combination.
        self.shown: dict[int, Outcome[Job]] = {}
        self.awaited = {n: sum(_work(job, n) is not None for job in self.jobs.values()) for n in self.combinations}
        self.started, self.before = datetime.now(UTC), look()

    def run(self) -> None:
        """Fine-tune what is missing, or as far as the workers come."""
        ended = conductor.launch(list(self.jobs.values()), 0.0, random.Random(), self)
        for outcome in ended.outcomes:
            if outcome.failure:
                self._failed(outcome.job.backend, outcome.failure)

    def event(self, case: str, message: Message) -> None:
        """See `Watcher.event`; the case is the backend."""
        kind = message["event"]
        if kind == "combination":
            self.said[case], self.started, self.before = {}, datetime.now(UTC), look()
        said = self.said.setdefault(case, {})
        said[f"{kind} {message['kind']}" if "kind" in message else kind] = message
        self.ends.watch(case, message)
        if kind in ("fine-tuned", "shown"):
            self._finished(case, self.combinations[message["number"]], tuned=kind == "fine-tuned")

    def round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """See `Watcher.round`: a sweep has no rounds."""

    def _jobs(self) -> list[SweepJob]:
        """A job of every backend that lacks something; the reference's first, of all that anybody has to prove."""
        data = write_images(self.first.dataset, self.folder)
        crew = [backend for backend in self.grid.backends if any(backend == other for _, other in self.missing)]
        if self.reference:
            crew = [self.reference, *(backend for backend in crew if backend != self.reference)]
        return [self._job(backend, data) for backend in crew]

    def _job(self, backend: str, data: Path) -> SweepJob:
        asked = {one.number for one, other in self.missing if other == backend}
        own = self.folder / backend
        own.mkdir()
        return SweepJob(
            case=backend,
            backend=backend,
            task=self.first.task,
            variant=self.grid.default,
            data=data,
            scratch=self.folder,
            checkpoint=self.first.checkpoint.folder.absolute(),
            folder=own,
            proof_images=PROOF_IMAGES,
            proof_steps=PROOF_STEPS,
            rounds=0,
            kinds=(),
            cache_limit=self.settings.cache_limit,
            seeds=(),
            descriptor=-1,
            combinations=tuple(
                self._combination(one, backend, number in asked)
                for number, one in self.combinations.items()
                if number in asked or backend == self.reference
            ),
        )

    def _combination(self, one: Combination, backend: str, fine_tune: bool) -> Work:
        prepared, default = one.prepared, self.grid.default
        folder = self.folder / "evidence" / str(one.number) / backend
        folder.mkdir(parents=True)
        entry = None
        if fine_tune and not self.settings.recompute and not cached_refused(backend, default, prepared.task):
            fingerprints = prepared.checkpoint.sha256, prepared.dataset.fingerprint
            digits = features.key(backend, prepared.task, default, *fingerprints)
            entry = (features.folder() / f"{digits}{features.ENDING}").absolute()
        return Work(
            number=one.number,
            task=prepared.task,
            folder=folder,
            features=entry,
            proof_steps=proof_steps(prepared.task.batch_size),
            fine_tune=fine_tune,
        )

    def _finished(self, backend: str, one: Combination, tuned: bool) -> None:
        """A worker is through with a combination: the verdict, the record, and nothing left of the evidence."""
        job = self.jobs[backend]
        work = _work(job, one.number)
        if work is None:
            raise ValueError(f"the worker of {backend} has no combination {one.number}")
        outcome: Outcome[Job] = Outcome(job.of(work, cached=False), said=self.said[backend])
        if backend == self.reference:
            self.shown[one.number] = outcome
        if tuned:
            verdict = record_builder.proof(outcome, self.shown.get(one.number), one.prepared)
            self._keep(self._record(backend, one, verdict, None))
        self.awaited[one.number] -= 1
        if not self.awaited[one.number]:
            shutil.rmtree(work.folder.parent)

    def _failed(self, backend: str, failure: Failure) -> None:
        """A worker died, and with it its combination; all that it had left, where it could not even import."""
        left = [one for one, other in self.missing if other == backend and (one.number, other) not in self.ends.done]
        if failure.phase != START:
            at = self.said[backend]["combination"]["number"]
            left = [one for one in left if one.number == at]
        for one in left:
            self._keep(self._record(backend, one, None, failure))

    def _keep(self, swept: Swept) -> None:
        self.ends.done.add((swept.number, swept.backend))
        self.ends.keep(swept)

    def _record(self, backend: str, one: Combination, proof: Proof | None, failure: Failure | None) -> Swept:
        prepared, said = one.prepared, self.said.get(backend, {})
        tuned: dict[str, Any] = said.get(f"fine-tuned {prepared.task.seed}", {}) if failure is None else {}
        built: dict[str, Any] = said.get("built", {})
        kept = built.get("features") or {}
        return Swept(
            number=one.number,
            backend=backend,
            task=prepared.task,
            task_hash=prepared.task.hash,
            overridden=prepared.overridden,
            dataset_fingerprint=prepared.dataset.fingerprint,
            checkpoint_hash=prepared.checkpoint.sha256,
            train_images=len(prepared.dataset.train_images),
            test_images=len(prepared.dataset.test_images),
            started=self.started.isoformat(timespec="seconds"),
            resolved=built.get("resolved", {}),
            features=("cached" if tuned["cached"] else "recomputed") if tuned else None,
            recomputed_because=self._reason(backend, prepared.task, tuned),
            extraction_s=kept.get("extraction_s"),
            epochs=tuple(_epoch(epoch, prepared.task) for epoch in tuned.get("epochs", ())),
            evaluation_s=tuned.get("evaluation_s", 0.0),
            closing_s=tuned.get("closing_s", 0.0),
            elapsed_s=tuned.get("elapsed_s", 0.0),
            proof=proof,
            warnings=self._doubts(len(self.jobs), kept.get("problem")),
            failure=failure,
        )

    def _doubts(self, workers: int, features_problem: str | None) -> tuple[Doubt, ...]:
        gpu = check_device(self.grid.default.device)
        now = state(gpu.index) if gpu else None
        return warnings.of_fine_tune(between([(self.before, look())], now, workers), features_problem)

    def _reason(self, backend: str, task: Task, tuned: dict[str, Any]) -> str | None:
        if self.settings.recompute:
            return None
        return cached_refused(backend, self.grid.default, task) or tuned.get("refused")


def _work(job: SweepJob, number: int) -> Work | None:
    return next((work for work in job.combinations if work.number == number), None)


def _epoch(told: dict[str, Any], task: Task) -> Epoch:
    # With random weights an accuracy would say something about the draw, not about the fine-tune.
    return Epoch.model_validate(told | ({"correct": None} if task.weights == "random" else {}))
