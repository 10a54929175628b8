"""The launches of a sweep: a worker of each backend fine-tunes one combination after the other; workers take turns.

The record of a fine-tune is written as soon as it is finished. If PyTorch is installed, its worker is the first at each
combination, because its evidence is the reference of the other backends' proofs.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import backends
from backends.task import Task, Variant
from bench.analysis import warnings
from bench.cache import features
from bench.cache.home import check_utf8
from bench.machine.environment import list_disobeyed_variables
from bench.machine.gpu import find_device, read_state
from bench.machine.load import read_counters, summarise_conditions
from bench.measure import conductor, record_builder
from bench.measure.case_job import write_images
from bench.measure.launch_outcome import WorkerOutcome
from bench.measure.scratch_folder import make_scratch_folder
from bench.measure.worker_environment import build_environment
from bench.parity.tolerances import REFERENCE
from bench.plan import variants
from bench.records.private_paths import shorten_all
from bench.records.record import Failure, MeasurementWarning, Proof
from bench.sweep.grid import Combination, Grid
from bench.sweep.sweep_record import Epoch, SweepRecord
from bench.worker.channel import Message
from bench.worker.job import CombinationJob, Job, SweepJob

#: The size of each combination's proof: `PROOF_STEPS`, or fewer at large batches, so that they train on about
#: `PROOF_STEP_IMAGES`; but at least `LEAST_PROOF_STEPS`, so that momentum has an effect. With many combinations a
#: longer proof would take longer than a head's fine-tune on cached features.
PROOF_IMAGES = 16
PROOF_STEPS, PROOF_STEP_IMAGES, LEAST_PROOF_STEPS = 6, 128, 2
#: The phase of a worker that has not imported its framework yet: what kills it there would kill the next one too.
START_PHASE = "start"
MissingFineTunes = Sequence[tuple[Combination, str]]


@dataclass(frozen=True)
class CacheSettings:
    """How cached features are used.

    Attributes:
        recompute: never train on cached features.
        cache_limit: bytes that all cached features together may take on disk.
    """

    recompute: bool
    cache_limit: int


@dataclass(frozen=True)
class SweepOutput:
    """The output of a sweep.

    Attributes:
        finished: combination number and backend of each finished fine-tune; the sweep adds to it.
        write_record: called with each record as soon as its fine-tune is over.
        on_event: called with the backend and each message of its worker.
    """

    finished: set[tuple[int, str]]
    write_record: Callable[[SweepRecord], object]
    on_event: Callable[[str, Message], object]


def run_fine_tunes(grid: Grid, settings: CacheSettings, output: SweepOutput) -> None:
    """Run all fine-tunes that are not finished; one in which the worker died counts as finished."""
    for group in grid.group_by_data():
        while missing := [(one, b) for one in group for b in grid.backends if (one.number, b) not in output.finished]:
            with make_scratch_folder() as folder:
                _SweepLaunch(grid, settings, missing, folder, output).run()


def explain_not_cached(backend: str, default: Variant, task: Task) -> str | None:
    """Why a backend cannot train this task on cached features; None if it can."""
    return variants.explain_unsupported(backend, default.model_copy(update={"features": "cached"}), task)


def count_proof_steps(batch_size: int) -> int:
    """The number of steps of a combination's proof."""
    return max(LEAST_PROOF_STEPS, min(PROOF_STEPS, PROOF_STEP_IMAGES // batch_size))


class _SweepLaunch:
    """One start of the workers, for all missing fine-tunes of a group; a `bench.measure.conductor.Watcher`."""

    def __init__(
        self, grid: Grid, settings: CacheSettings, missing: MissingFineTunes, folder: Path, output: SweepOutput
    ) -> None:
        self.grid, self.settings, self.folder, self.output = grid, settings, folder, output
        self.missing = missing
        self.combinations = {one.number: one for one, _ in missing}
        self.first = missing[0][0].prepared
        self.reference = None if backends.find_missing_packages(REFERENCE[0]) else REFERENCE[0]
        self.jobs = {job.backend: job for job in self._make_jobs()}
        #: The messages about the current combination, by backend and by kind of message.
        self.messages: dict[str, dict[str, Message]] = {}
        #: The reference's outcome of each combination, for the proofs.
        self.reference_outcomes: dict[int, WorkerOutcome[Job]] = {}
        #: The number of workers that have not finished a combination yet.
        self.unfinished = {
            n: sum(_find_work(job, n) is not None for job in self.jobs.values()) for n in self.combinations
        }
        self.started, self.before = datetime.now(UTC), read_counters()

    def run(self) -> None:
        """Run the missing fine-tunes, until all are finished or the workers have died."""
        launched = conductor.run_launch(list(self.jobs.values()), 0.0, random.Random(), self)
        for outcome in launched.outcomes:
            if outcome.failure:
                self._record_failure(outcome.job.backend, outcome.failure)

    def on_event(self, case: str, message: Message) -> None:
        """See `Watcher.on_event`; the case is the backend."""
        kind = message["event"]
        if kind == "combination":
            self.messages[case], self.started, self.before = {}, datetime.now(UTC), read_counters()
        messages = self.messages.setdefault(case, {})
        messages[f"{kind} {message['kind']}" if "kind" in message else kind] = message
        self.output.on_event(case, message)
        if kind in ("fine-tuned", "shown"):
            self._finish(case, self.combinations[message["number"]], fine_tuned=kind == "fine-tuned")

    def on_round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """See `Watcher.on_round`; a sweep has no rounds."""

    def _make_jobs(self) -> list[SweepJob]:
        """Make a job for each backend with missing fine-tunes; the reference comes first, with all combinations."""
        data = write_images(self.first.dataset, self.folder)
        chosen = [backend for backend in self.grid.backends if any(backend == other for _, other in self.missing)]
        if self.reference:
            chosen = [self.reference, *(backend for backend in chosen if backend != self.reference)]
        return [self._make_job(backend, data) for backend in chosen]

    def _make_job(self, backend: str, data: Path) -> SweepJob:
        check_utf8(self.first.checkpoint.folder, "move the checkpoint")
        to_fine_tune = {one.number for one, other in self.missing if other == backend}
        folder = self.folder / backend
        folder.mkdir()
        return SweepJob(
            case=backend,
            backend=backend,
            task=self.first.task,
            variant=self.grid.default,
            data=data,
            scratch=self.folder,
            checkpoint=self.first.checkpoint.folder.absolute(),
            folder=folder,
            proof_images=PROOF_IMAGES,
            proof_steps=PROOF_STEPS,
            rounds=0,
            kinds=(),
            cache_limit=self.settings.cache_limit,
            seeds=(),
            descriptor=-1,
            combinations=tuple(
                self._make_work(one, backend, number in to_fine_tune)
                for number, one in self.combinations.items()
                if number in to_fine_tune or backend == self.reference
            ),
        )

    def _make_work(self, one: Combination, backend: str, fine_tune: bool) -> CombinationJob:
        prepared, default = one.prepared, self.grid.default
        folder = self.folder / "evidence" / str(one.number) / backend
        folder.mkdir(parents=True)
        entry = None
        if fine_tune and not self.settings.recompute and not explain_not_cached(backend, default, prepared.task):
            fingerprints = prepared.checkpoint.sha256, prepared.dataset.fingerprint
            digits = features.make_key(backend, prepared.task, default, *fingerprints)
            entry = (features.get_folder() / f"{digits}{features.ENDING}").absolute()
        return CombinationJob(
            number=one.number,
            task=prepared.task,
            folder=folder,
            features=entry,
            proof_steps=count_proof_steps(prepared.task.batch_size),
            fine_tune=fine_tune,
        )

    def _finish(self, backend: str, one: Combination, fine_tuned: bool) -> None:
        """Judge the proof of a combination, write its record, and delete the evidence once no worker needs it."""
        job = self.jobs[backend]
        work = _find_work(job, one.number)
        if work is None:
            raise ValueError(f"the worker of {backend} has no combination {one.number}")
        outcome: WorkerOutcome[Job] = WorkerOutcome(
            job.make_combination_job(work, cached=False), messages=self.messages[backend]
        )
        if backend == self.reference:
            self.reference_outcomes[one.number] = outcome
        if fine_tuned:
            verdict = record_builder.build_proof(outcome, self.reference_outcomes.get(one.number), one.prepared)
            self._write(self._make_record(backend, one, verdict, None))
        self.unfinished[one.number] -= 1
        if not self.unfinished[one.number]:
            shutil.rmtree(work.folder.parent)

    def _record_failure(self, backend: str, failure: Failure) -> None:
        """Write a failed record of the combination at which a worker died; of all it had left, if it died at start."""
        finished = self.output.finished
        failed = [one for one, other in self.missing if other == backend and (one.number, other) not in finished]
        if failure.phase != START_PHASE:
            current = self.messages[backend]["combination"]["number"]
            failed = [one for one in failed if one.number == current]
        for one in failed:
            self._write(self._make_record(backend, one, None, failure))

    def _write(self, record: SweepRecord) -> None:
        self.output.finished.add((record.number, record.backend))
        self.output.write_record(record)

    def _make_record(self, backend: str, one: Combination, proof: Proof | None, failure: Failure | None) -> SweepRecord:
        prepared, messages = one.prepared, self.messages.get(backend, {})
        tuned: dict[str, Any] = messages.get(f"fine-tuned {prepared.task.seed}", {}) if failure is None else {}
        built: dict[str, Any] = messages.get("built", {})
        cached = built.get("features") or {}
        return SweepRecord(
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
            recomputed_because=self._explain_recomputed(backend, prepared.task, tuned),
            extraction_s=cached.get("extraction_s"),
            epochs=tuple(_parse_epoch(epoch, prepared.task) for epoch in tuned.get("epochs", ())),
            evaluation_s=tuned.get("evaluation_s", 0.0),
            closing_s=tuned.get("closing_s", 0.0),
            elapsed_s=tuned.get("elapsed_s", 0.0),
            proof=proof,
            warnings=self._find_warnings(backend, built.get("resolved", {}), shorten_all(cached.get("problem"))),
            failure=failure,
        )

    def _find_warnings(
        self, backend: str, resolved: Mapping[str, object], features_problem: str | None
    ) -> tuple[MeasurementWarning, ...]:
        gpu = find_device(self.grid.default.device)
        now = read_state(gpu.index) if gpu else None
        around = summarise_conditions([(self.before, read_counters())], now, len(self.jobs))
        disobeyed = list_disobeyed_variables(os.environ, build_environment(self.jobs[backend]))
        # Whether features are cached is decided for each combination: no knob asks for it.
        variant = self.grid.default.model_copy(update={"features": _find_features_in_force(resolved)})
        return warnings.find_fine_tune_warnings(backend, variant, resolved, disobeyed, around, features_problem)

    def _explain_recomputed(self, backend: str, task: Task, tuned: dict[str, Any]) -> str | None:
        if self.settings.recompute:
            return None
        return explain_not_cached(backend, self.grid.default, task) or tuned.get("refused")


def _find_features_in_force(resolved: Mapping[str, object]) -> object:
    flags = resolved.get("flags")
    return {**resolved, **(flags if isinstance(flags, dict) else {})}.get("features")


def _find_work(job: SweepJob, number: int) -> CombinationJob | None:
    return next((work for work in job.combinations if work.number == number), None)


def _parse_epoch(fields: dict[str, Any], task: Task) -> Epoch:
    # With random weights an accuracy depends on the draw of the weights, not on the fine-tune.
    return Epoch.model_validate(fields | ({"correct": None} if task.weights == "random" else {}))
