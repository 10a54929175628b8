"""A crew of variants of one backend measured by real workers."""

from __future__ import annotations

import math
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backends.task import Variant
from bench.errors import UserError
from bench.measure import conductor, record_builder
from bench.measure.conductor import Haste, Watcher
from bench.measure.run import write_images
from bench.plan.request import Prepared
from bench.tune.crew_launch import NOT_TRIED, Launched
from bench.worker.channel import Message
from bench.worker.job import Job

KIND = "pipeline"
ROUND_SECONDS = 0.3


@dataclass
class Workers:
    """Measures `pipeline` steps of a task with one backend.

    Attributes:
        haste: see there; where several are built at a time, what a start took is no figure of its own.
        compiled: folder in which each variant's compiler keeps what it compiled, launch by launch; None for the
            compiler's usual place, where it may find what it needs.
    """

    backend: str
    prepared: Prepared
    watcher: Watcher
    haste: Haste = conductor.LEISURE
    compiled: Path | None = None
    draw: random.Random = field(default_factory=random.Random)

    def launch(self, crew: Sequence[Variant], rounds: int, reverse_start: bool, start_within: float) -> Launched:
        """See `bench.tune.crew_launch.LaunchCrew`.

        Raises:
            UserError: the first one's worker died, so there is nothing to compare with.
        """
        began = time.monotonic()
        watch = _Stopwatch(self.watcher)
        haste = Haste(
            self.haste.abreast,
            self.haste.patience,
            self.haste.slowest,
            lambda: time.monotonic() - began > start_within,
        )
        # A worker that an interrupt left to itself may still write there; it removes the folder before it ends.
        with tempfile.TemporaryDirectory(prefix="head-to-head-", ignore_cleanup_errors=True) as name:
            folder = Path(name)
            data = write_images(self.prepared.dataset, folder)
            jobs = [self._job(variant, data, folder, rounds) for variant in crew]
            reverse_start = reverse_start and math.isinf(start_within)  # else the first one might not be started
            done = conductor.launch(jobs, ROUND_SECONDS, self.draw, watch, reverse_start, haste)
            seconds = {o.job.case: s for o in done.outcomes if (s := record_builder.step_seconds(o).get(KIND))}
        first = crew[0].name
        if first not in seconds:
            raise UserError(f"the worker of {self.backend}'s {first} died: run bench run --backend {self.backend}")
        start_ups = {o.job.case: o.said["built"]["start_up"] for o in done.outcomes if "built" in o.said}
        wall_s = time.monotonic() - began
        return Launched(
            names=tuple(variant.name for variant in crew),
            rounds=rounds,
            seconds=seconds,
            start_s=_shares(
                {name: told["elapsed_s"] for name, told in start_ups.items()}, wall_s - done.measuring_s - watch.lost_s
            ),
            start_up_s={
                name: told["import_s"] + told["build_s"] + told["first_step_s"] for name, told in start_ups.items()
            },
            problems={
                o.job.case: o.failure.reason if o.failure else NOT_TRIED
                for o in done.outcomes
                if o.job.case not in seconds
            },
            wall_s=wall_s,
        )

    def _job(self, variant: Variant, data: Path, folder: Path, rounds: int) -> Job:
        own = folder / variant.name
        own.mkdir()
        return Job(
            case=variant.name,
            backend=self.backend,
            task=self.prepared.task,
            variant=variant,
            data=data,
            scratch=folder,
            checkpoint=self.prepared.checkpoint.folder.absolute(),
            folder=own,
            proof_images=0,
            proof_steps=0,
            rounds=rounds,
            kinds=(KIND,),
            seeds=(),
            rests=self.haste.abreast > 1,
            compiled=self.compiled / variant.name if self.compiled else None,
            descriptor=-1,
        )


class _Stopwatch:
    """Passes everything on, and knows how long was waited for workers that died before they were built."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher, self.last, self.lost_s = watcher, time.monotonic(), 0.0
        self.built: set[str] = set()

    def event(self, case: str, message: Message) -> None:
        """See `Watcher.event`."""
        now = time.monotonic()
        if message["event"] == "built":
            self.built.add(case)
        if message["event"] == "died" and case not in self.built:
            self.lost_s += now - self.last
        self.last = now
        self.watcher.event(case, message)

    def round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """See `Watcher.round`."""
        self.watcher.round(case, kind, number, of, images_per_second)


def _shares(elapsed: dict[str, float], seconds: float) -> dict[str, float]:
    """`seconds`, shared out in proportion to what each worker says that its start took."""
    whole = sum(elapsed.values())
    return {name: max(0.0, seconds) * took / whole for name, took in elapsed.items()}
