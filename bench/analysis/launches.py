"""The records of a run, put together by task and case: what every table starts from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from backends import REGISTRY
from backends.task import Task
from bench.analysis.statistics import Interval, log_ratios, ratio, throughput
from bench.plan.variants import DIVISIONS, division
from bench.records.record import Check, FineTune, Proof, Record, Rounds

Kind = Literal["pipeline", "compute", "loader"]


@dataclass(frozen=True)
class CaseLaunches:
    """All launches of one case; figures come from those that finished."""

    records: tuple[Record, ...]

    @property
    def first(self) -> Record:
        """The first launch, finished or not: for what is the same in all."""
        return self.records[0]

    @property
    def label(self) -> str:
        """Backend and variant."""
        return f"{self.first.backend}/{self.first.variant.name}"

    @property
    def finished(self) -> tuple[Record, ...]:
        """The launches that ran to their end."""
        return tuple(record for record in self.records if record.failure is None)

    @property
    def failed(self) -> tuple[Record, ...]:
        """The launches that did not."""
        return tuple(record for record in self.records if record.failure is not None)

    @property
    def absence(self) -> str:
        """What a table says in place of a figure that the case lacks."""
        failures = [record.failure for record in self.failed if record.failure]
        return f"failed in {failures[0].phase}" if failures and not self.finished else "not measured"

    def seconds_per_image(self, kind: Kind) -> dict[int, list[float]]:
        """Seconds per image of each round, by launch; two cases' rounds may differ in their images."""
        measured = ((record.launch, _rounds(record, kind)) for record in self.finished)
        return {launch: [s / rounds.images for s in rounds.seconds] for launch, rounds in measured if rounds}

    def throughput(self, kind: Kind) -> Interval | None:
        """Images per second."""
        seconds = self.seconds_per_image(kind)
        return throughput(1, list(seconds.values())) if seconds else None

    def faster_than(self, other: CaseLaunches, kind: Kind) -> Interval | None:
        """Throughput over the other's, from the launches that both have; None without any."""
        ys = self.log_ratios(other, kind)
        return ratio(ys) if ys else None

    def log_ratios(self, other: CaseLaunches, kind: Kind) -> list[float]:
        """y of each launch that both have, above 0 where this case is faster; see `bench.analysis.statistics`."""
        mine, theirs = self.seconds_per_image(kind), other.seconds_per_image(kind)
        shared = sorted(mine.keys() & theirs.keys())
        if not shared:
            return []
        return log_ratios([theirs[launch] for launch in shared], [mine[launch] for launch in shared])

    @property
    def proofs(self) -> tuple[Proof, ...]:
        """The proofs of sameness of the launches that made one."""
        return tuple(record.proof for record in self.records if record.proof is not None)

    @property
    def proof(self) -> Proof | None:
        """The proof to show: one that failed, where there is one, else the first."""
        return next((proof for proof in self.proofs if not proof.comparable), next(iter(self.proofs), None))

    @property
    def checks(self) -> tuple[Check, ...]:
        """Each check of the proof once, from the launch where it came out worst."""
        worst: dict[str, Check] = {}
        for check in (check for proof in self.proofs for check in proof.checks):
            kept = worst.setdefault(check.name, check)
            if (not check.passed, check.difference) > (not kept.passed, kept.difference):
                worst[check.name] = check
        return tuple(worst.values())

    @property
    def fine_tunes(self) -> tuple[FineTune, ...]:
        """The whole fine-tunes of all launches, one a seed."""
        return tuple(tune for record in self.finished for tune in record.fine_tunes)

    def not_comparable(self, reference: CaseLaunches | None = None) -> str | None:
        """Why no ratio may be printed, to any case or to `reference`; None where one may."""
        if self.proof is None:
            return "no proof of sameness was made"
        if not self.proof.comparable:
            return self.proof.reason or f"its proof is {self.proof.status}"
        if reference is None or reference is self:
            return None
        if reason := reference.not_comparable():
            return f"{reference.label}: {reason}"
        mine, theirs = self.first, reference.first
        if mine.dataset_fingerprint != theirs.dataset_fingerprint:
            return f"other images than {reference.label}"
        if mine.checkpoint_hash != theirs.checkpoint_hash:
            return f"another checkpoint than {reference.label}"
        if reference.proof and self.proof.order_hash != reference.proof.order_hash:
            return f"another order of images than {reference.label}"
        return None


@dataclass(frozen=True)
class TaskLaunches:
    """All cases of one task in one division."""

    cases: tuple[CaseLaunches, ...]

    @property
    def task(self) -> Task:
        """What was trained."""
        return self.cases[0].first.task

    @property
    def division(self) -> str:
        """The division of all cases."""
        return division(self.cases[0].first.variant)

    @property
    def name(self) -> str:
        """The task's name, what was overridden in it, and the division where it is not the default's."""
        record = self.cases[0].first
        suffix = "" if self.division == "default" else f", division {self.division}"
        if not record.overridden:
            return f"{self.task.name}{suffix}"
        # A bare field name is shown with its value.
        fields = (f if "=" in f else f"{f}={getattr(self.task, f, '?')}" for f in record.overridden)
        return f"{self.task.name} (overridden: {', '.join(fields)}, hash {record.task_hash}){suffix}"

    @property
    def facts(self) -> str:
        """The name and the facts that decide what a throughput means, in one line."""
        task = self.task
        counts = sorted({tune.train_images for case in self.cases for tune in case.fine_tunes})
        limit = "all" if task.train_limit is None else f"{task.train_limit:,}"
        images = ", ".join(f"{count:,}" for count in counts) or limit
        return (
            f"{self.name}, {task.image_size} px, batch size {task.batch_size}, batch norm {task.batch_norm}, "
            f"{f'trained {task.trainable}, ' if task.trained else ''}"
            f"weights {task.weights}, {images} images of {task.dataset}"
        )

    def reference(self, relative_to: str) -> CaseLaunches | None:
        """The case that ratios are to: `backend/variant`, or a backend's `default`, or its first variant."""
        labels = {case.label: case for case in self.cases}
        variants = [case for label, case in labels.items() if label.startswith(f"{relative_to}/")]
        named = (labels.get(relative_to), labels.get(f"{relative_to}/default"), *variants)
        return next((case for case in named if case), None)


def widest_reach(task: TaskLaunches, relative_to: str) -> float | None:
    """How far the widest interval of a `pipeline` ratio to the reference reaches, relative to it.

    None where there is no ratio to print, infinite where one has no interval yet.
    """
    reference = task.reference(relative_to)
    if reference is None:
        return None
    others = [case for case in task.cases if case is not reference and case.not_comparable(reference) is None]
    ratios = [case.faster_than(reference, "pipeline") for case in others if case.finished]
    return max((found.reach for found in ratios if found), default=None)


def by_task(records: Iterable[Record]) -> list[TaskLaunches]:
    """Tasks in the order of the run and by division, cases in the registry's order of backends, launches by number."""
    tasks: dict[tuple[str, str, str], dict[str, list[Record]]] = {}
    ranks = {backend: rank for rank, backend in enumerate(REGISTRY)}
    divisions = list(DIVISIONS)

    def place(record: Record) -> tuple[int, int, int]:
        of = divisions.index(division(record.variant))
        return record.position, of, ranks.get(record.backend, len(ranks))

    for record in sorted(records, key=place):
        cases = tasks.setdefault((record.task.name, record.task_hash, division(record.variant)), {})
        cases.setdefault(record.case, []).append(record)
    return [
        TaskLaunches(tuple(CaseLaunches(_ordered(launches)) for launches in cases.values())) for cases in tasks.values()
    ]


def _ordered(records: Sequence[Record]) -> tuple[Record, ...]:
    return tuple(sorted(records, key=lambda record: record.launch))


def _rounds(record: Record, kind: Kind) -> Rounds | None:
    rounds: Rounds | None = getattr(record, kind)
    return rounds if rounds and rounds.seconds else None
