"""Variants of one backend measured side by side: a worker each, in the crews that a launch can hold."""

from __future__ import annotations

import random
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from backends.task import Variant
from bench import assemble, conductor
from bench.comparison import write_images
from bench.conductor import Watcher
from bench.errors import UserError
from bench.request import Prepared
from bench.tune.search import Times
from bench.worker.job import Job

KIND = "pipeline"
ROUND_SECONDS = 0.3
#: Workers that wait at the same time; the default is one of each crew.
CREW = 8


@dataclass
class Workers:
    """Measures `pipeline` steps of a task with one backend.

    Attributes:
        died: told of a variant whose worker died, and why.
    """

    backend: str
    prepared: Prepared
    watcher: Watcher
    died: Callable[[str, str], object]

    def measure(self, variants: Sequence[Variant], launches: int, rounds: int) -> Times:
        """See `bench.tune.search.Measure`. The first variant is in every crew.

        What it took in one crew and in another tells the machine's drift, which is taken out of the others' times.

        Raises:
            UserError: the default's worker died, so there is nothing to compare with.
        """
        default, *others = variants
        found: dict[str, list[list[float]]] = defaultdict(list)
        draw = random.Random()
        for number in range(launches):
            first: list[float] = []
            for at in range(0, max(1, len(others)), CREW - 1):
                seconds = self._launch([default, *others[at : at + CREW - 1]], rounds, draw, number % 2 == 1)
                if default.name not in seconds:
                    raise UserError(
                        f"the worker of {self.backend}'s default died: run bench run --backend {self.backend}"
                    )
                now = seconds.pop(default.name)
                if at == 0:
                    first = now
                    found[default.name].append(first)
                for name, own in seconds.items():
                    found[name].append([s * f / n for s, f, n in zip(own, first, now, strict=False)])
        return {name: times for name, times in found.items() if len(times) == launches}

    def _launch(
        self, crew: Sequence[Variant], rounds: int, draw: random.Random, reverse_start: bool
    ) -> dict[str, list[float]]:
        with tempfile.TemporaryDirectory(prefix="head-to-head-") as name:
            folder = Path(name)
            data = write_images(self.prepared.dataset, folder)
            jobs = [self._job(variant, data, folder, rounds) for variant in crew]
            done = conductor.launch(jobs, ROUND_SECONDS, draw, self.watcher, reverse_start)
            found = {}
            for outcome in done.outcomes:
                seconds = assemble.step_seconds(outcome).get(KIND)
                if outcome.failure:
                    self.died(outcome.job.variant.name, outcome.failure.reason)
                elif seconds:
                    found[outcome.job.variant.name] = list(seconds)
            return found

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
            descriptor=-1,
        )
