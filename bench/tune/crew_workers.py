"""Workers of a crew: a launch of several variants of one backend in real processes."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from backends.task import Variant
from bench.errors import UserError
from bench.measure import conductor, record_builder
from bench.measure.case_job import write_images
from bench.measure.conductor import LaunchLimits, Watcher
from bench.measure.scratch_folder import make_scratch_folder
from bench.plan.prepared_task import PreparedTask
from bench.tune.crew_launch import NOT_TRIED, ROUND_SECONDS, LaunchResult
from bench.worker.channel import Message
from bench.worker.job import Job

#: Kind of the rounds that are compared.
ROUND_KIND = "pipeline"


@dataclass
class CrewWorkers:
    """Measures `pipeline` steps of a task with one backend.

    Attributes:
        limits: how a launch saves time. Start-up times are comparable only if workers are built one at a time.
        compiled: folder in which each variant's compiler keeps what it compiled, from launch to launch; None for the
            compiler's usual folder, which may already hold what it needs.
        rng: source of the orders within a round.
    """

    backend: str
    prepared: PreparedTask
    watcher: Watcher
    limits: LaunchLimits = conductor.DEFAULT_LIMITS
    compiled: Path | None = None
    rng: random.Random = field(default_factory=random.Random)

    def launch(self, crew: Sequence[Variant], rounds: int, reverse_start: bool, start_within: float) -> LaunchResult:
        """Launch one crew, see `bench.tune.crew_launch.CrewLauncher`.

        Raises:
            UserError: the first variant's worker died, so there is nothing to compare the others with.
        """
        began, started = time.monotonic(), datetime.now(UTC)
        stopwatch = _Stopwatch(self.watcher)
        limits = LaunchLimits(
            self.limits.parallel_builds,
            self.limits.start_timeout,
            self.limits.max_slowdown,
            lambda: time.monotonic() - began > start_within,
        )
        with make_scratch_folder() as folder:
            data = write_images(self.prepared.dataset, folder)
            jobs = [self._make_job(variant, data, folder, rounds) for variant in crew]
            reverse_start = reverse_start and math.isinf(start_within)  # else the first variant might not be started
            done = conductor.run_launch(jobs, ROUND_SECONDS, self.rng, stopwatch, reverse_start, limits)
            warnings = {
                outcome.job.case: record_builder.build_speed_record(
                    record_builder.CaseLaunch(outcome, self.prepared, done.conditions, 1, started)
                ).warnings
                for outcome in done.outcomes
            }
            seconds = {
                outcome.job.case: steps
                for outcome in done.outcomes
                if (steps := record_builder.read_step_seconds(outcome).get(ROUND_KIND))
            }
        first = crew[0].name
        if first not in seconds:
            failure = next((one.failure for one in done.outcomes if one.job.case == first), None)
            reason = failure.reason if failure else "it left no rounds"
            raise UserError(f"the worker of {self.backend}'s {first} died: {reason}")
        start_ups = {o.job.case: o.messages["built"]["start_up"] for o in done.outcomes if "built" in o.messages}
        wall_s = time.monotonic() - began
        return LaunchResult(
            names=tuple(variant.name for variant in crew),
            rounds=rounds,
            seconds=seconds,
            start_s=_share_out(
                {name: parts["elapsed_s"] for name, parts in start_ups.items()},
                wall_s - done.measuring_s - stopwatch.lost_s,
            ),
            start_up_s={
                name: parts["import_s"] + parts["build_s"] + parts["first_step_s"] for name, parts in start_ups.items()
            },
            problems={
                outcome.job.case: outcome.failure.reason if outcome.failure else NOT_TRIED
                for outcome in done.outcomes
                if outcome.job.case not in seconds
            },
            wall_s=wall_s,
            warnings={name: warnings[name] for name in seconds if warnings[name]},
        )

    def _make_job(self, variant: Variant, data: Path, folder: Path, rounds: int) -> Job:
        job_folder = folder / variant.name
        job_folder.mkdir()
        return Job(
            case=variant.name,
            backend=self.backend,
            task=self.prepared.task,
            variant=variant,
            data=data,
            scratch=folder,
            checkpoint=self.prepared.checkpoint.folder.absolute(),
            folder=job_folder,
            proof_images=0,
            proof_steps=0,
            rounds=rounds,
            kinds=(ROUND_KIND,),
            seeds=(),
            rests=self.limits.parallel_builds > 1,
            compiled=self.compiled / variant.name if self.compiled else None,
            descriptor=-1,
        )


class _Stopwatch:
    """A watcher that passes everything on, and adds up the time spent on workers that died before they were built."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher, self.last, self.lost_s = watcher, time.monotonic(), 0.0
        self.built: set[str] = set()

    def on_event(self, case: str, message: Message) -> None:
        """See `Watcher.on_event`."""
        now = time.monotonic()
        if message["event"] == "built":
            self.built.add(case)
        if message["event"] == "died" and case not in self.built:
            self.lost_s += now - self.last
        self.last = now
        self.watcher.on_event(case, message)

    def on_round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """See `Watcher.on_round`."""
        self.watcher.on_round(case, kind, number, of, images_per_second)


def _share_out(elapsed: dict[str, float], seconds: float) -> dict[str, float]:
    """Divide `seconds` among the workers in proportion to their own start-up times."""
    total = sum(elapsed.values())
    return {name: max(0.0, seconds) * start_up / total for name, start_up in elapsed.items()}
