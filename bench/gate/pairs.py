"""Launch pairs: one launch of base and head at a time, their rounds interleaved."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench import assemble, conductor
from bench.comparison import write_images
from bench.conductor import COMPARED, Outcome, Watcher
from bench.errors import UserError
from bench.gate.case import Pair
from bench.gate.sources import BASE, HEAD, Source
from bench.record import Record
from bench.request import Plan, Prepared
from bench.worker.job import Job


def measure(plan: Plan, prepared: Prepared, backend: str, arms: dict[str, Source], watcher: Watcher) -> Iterator[Pair]:
    """Launch pairs of one case without end; whoever asks for the next one has decided to go on.

    The first pair also proves that both arms compute the same, and fine-tunes where the plan says so. Who starts
    first alternates by pair, who comes first in a round by round, and the environment's size is padded at random.

    Args:
        plan: how many rounds, and how long.
        prepared: the task.
        backend: of both arms.
        arms: the sources, by `BASE` and `HEAD`.
        watcher: told of all progress.

    Raises:
        UserError: a worker died, so there is nothing to compare.
    """
    draw = random.Random()
    number = 0
    while True:
        number += 1
        began, started = time.monotonic(), datetime.now(UTC)
        with tempfile.TemporaryDirectory(dir=arms[HEAD].root.parent) as name:
            jobs = _jobs(plan, prepared, backend, arms, Path(name), first=number == 1)
            done = conductor.launch(jobs, plan.suite.round_seconds, draw, watcher, reverse_start=number % 2 == 0)
            outcomes = dict(zip(arms, done.outcomes, strict=True))
            records: dict[str, Record] = {}
            for arm, outcome in outcomes.items():
                _refuse_dead(arms[arm], backend, outcome)
                launched = assemble.Launched(outcome, prepared, done.conditions, number, started)
                records[arm] = assemble.record(launched, None, run="", suite=plan.suite.name, position=0, about={})
            proof = None
            if number == 1:
                # The base's own verdict on itself comes first: what it does not keep either, the head did not break.
                own = assemble.proof(outcomes[BASE], outcomes[BASE], prepared)
                if own and own.comparable:
                    proof = assemble.proof(outcomes[HEAD], outcomes[BASE], prepared)
        yield Pair(records[BASE], records[HEAD], proof, time.monotonic() - began)


def _jobs(
    plan: Plan, prepared: Prepared, backend: str, arms: dict[str, Source], folder: Path, first: bool
) -> list[Job]:
    data = write_images(prepared.dataset, folder)
    jobs = []
    for arm, source in arms.items():
        (folder / arm).mkdir()
        jobs.append(
            Job(
                case=arm,
                backend=backend,
                task=prepared.task,
                variant=plan.variant,
                data=data,
                scratch=source.root.parent,
                checkpoint=prepared.checkpoint.folder.absolute(),
                folder=folder / arm,
                proof_images=plan.suite.proof_images,
                proof_steps=plan.suite.proof_steps if first else 0,
                rounds=plan.suite.rounds,
                kinds=COMPARED,
                seeds=(prepared.task.seed,) if first and prepared.fine_tune else (),
                descriptor=-1,
                root=source.root,
                python=source.python,
            )
        )
    return jobs


def _refuse_dead(source: Source, backend: str, outcome: Outcome) -> None:
    if outcome.failure:
        lines = "; ".join(line.strip() for line in outcome.failure.last_lines[-3:] if line.strip())
        raise UserError(
            f"cannot compare: the worker of {backend} in {source.name} died in {outcome.failure.phase}: "
            f"{outcome.failure.reason}{f' ({lines})' if lines else ''}"
        )
