"""The records of a run, grouped by task and case: the input of every table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from backends import REGISTRY, recipe
from backends.task import Task
from bench.analysis.statistics import Interval, log_ratios, ratio_interval, throughput
from bench.plan.variants import DIVISIONS, get_division
from bench.records.record import Check, FineTune, Proof, Record, Rounds

Kind = Literal["pipeline", "compute", "loader"]


@dataclass(frozen=True)
class CaseLaunches:
    """All launches of one case; its figures come from the launches that finished."""

    records: tuple[Record, ...]
    #: Figures that were computed already: a page needs each of them many times.
    _known: dict[tuple[object, ...], Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def first(self) -> Record:
        """The first launch, finished or not, for fields that are equal in all launches."""
        return self.records[0]

    @property
    def label(self) -> str:
        """Backend and variant."""
        return f"{self.first.backend}/{self.first.variant.name}"

    @property
    def finished(self) -> tuple[Record, ...]:
        """The launches that finished."""
        return tuple(record for record in self.records if record.failure is None)

    @property
    def failed(self) -> tuple[Record, ...]:
        """The launches that did not finish."""
        return tuple(record for record in self.records if record.failure is not None)

    @property
    def placeholder(self) -> str:
        """The text that a table shows in place of a figure that the case lacks."""
        failures = [record.failure for record in self.failed if record.failure]
        return f"failed in {failures[0].phase}" if failures and not self.finished else "not measured"

    def seconds_per_image(self, kind: Kind) -> dict[int, list[float]]:
        """Return the seconds per image of each round, by launch."""
        measured = ((record.launch, _rounds(record, kind)) for record in self.finished)
        return {launch: [s / rounds.images for s in rounds.seconds] for launch, rounds in measured if rounds}

    def throughput(self, kind: Kind) -> Interval | None:
        """Compute the images per second."""
        if (kind,) not in self._known:
            seconds = self.seconds_per_image(kind)
            self._known[kind,] = throughput(1, list(seconds.values())) if seconds else None
        known: Interval | None = self._known[kind,]
        return known

    def ratio_to(self, other: CaseLaunches, kind: Kind) -> Interval | None:
        """Compute this case's throughput over the other's from the launches that both have; None without any."""
        ys = self.log_ratios(other, kind)
        return ratio_interval(ys) if ys else None

    def log_ratios(self, other: CaseLaunches, kind: Kind) -> list[float]:
        """Compute ln(other's time / own time) of each launch that both have; above 0, this case is faster."""
        key = (kind, id(other))
        if key not in self._known:
            mine, theirs = self.seconds_per_image(kind), other.seconds_per_image(kind)
            shared = sorted(mine.keys() & theirs.keys())
            ratios = log_ratios([theirs[n] for n in shared], [mine[n] for n in shared]) if shared else []
            # The other case is kept, so that no later one can have its identity.
            self._known[key] = (other, ratios)
        return list(self._known[key][1])

    @property
    def proofs(self) -> tuple[Proof, ...]:
        """The proofs of sameness of the launches that made one."""
        return tuple(record.proof for record in self.records if record.proof is not None)

    @property
    def proof(self) -> Proof | None:
        """The proof to show: the first that failed, or else the first."""
        return next((proof for proof in self.proofs if not proof.comparable), next(iter(self.proofs), None))

    @property
    def checks(self) -> tuple[Check, ...]:
        """Each check of the proof once, from the launch with the worst outcome."""
        worst: dict[str, Check] = {}
        for check in (check for proof in self.proofs for check in proof.checks):
            so_far = worst.setdefault(check.name, check)
            if (not check.passed, check.difference) > (not so_far.passed, so_far.difference):
                worst[check.name] = check
        return tuple(worst.values())

    @property
    def fine_tunes(self) -> tuple[FineTune, ...]:
        """The whole fine-tunes of all launches."""
        return tuple(tune for record in self.finished for tune in record.fine_tunes)

    def why_not_comparable(self, reference: CaseLaunches | None = None) -> str | None:
        """Return why no ratio may be shown, to any case or to `reference`; None if one may."""
        if self.proof is None:
            return "no proof of sameness was made"
        if not self.proof.comparable:
            return self.proof.reason or f"its proof is {self.proof.status}"
        if reference is None or reference is self:
            return None
        if reason := reference.why_not_comparable():
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
        """The task of all cases."""
        return self.cases[0].first.task

    @property
    def division(self) -> str:
        """The division of all cases."""
        return get_division(self.cases[0].first.variant)

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
        """The task's name and the settings that its throughput depends on, in one line."""
        task = self.task
        counts = sorted({tune.train_images for case in self.cases for tune in case.fine_tunes})
        limit = "all" if task.train_limit is None else f"{task.train_limit:,}"
        images = ", ".join(f"{count:,}" for count in counts) or limit
        return (
            f"{self.name}, {task.image_size} px, batch size {task.batch_size}, batch norm {task.batch_norm}, "
            f"{f'trained {task.trainable}, ' if task.trainable != 'head' else ''}"
            f"{f'{recipe.describe(task)}, ' if recipe.is_named(task) else ''}"
            f"weights {task.weights}, {images} images of {task.dataset}"
        )

    def reference(self, relative_to: str) -> CaseLaunches | None:
        """Find the case that ratios are relative to.

        Args:
            relative_to: `backend/variant`, or a backend: then its variant `default`, or else its first one.
        """
        labels = {case.label: case for case in self.cases}
        variants = [case for label, case in labels.items() if label.startswith(f"{relative_to}/")]
        candidates = (labels.get(relative_to), labels.get(f"{relative_to}/default"), *variants)
        return next((case for case in candidates if case), None)


def find_widest_half_width(task: TaskLaunches, relative_to: str) -> float | None:
    """Find the widest interval among the `pipeline` ratios to the reference, and return its half-width.

    The half-width is relative to the ratio; None where there is no ratio, infinite where a ratio has no interval yet.
    """
    reference = task.reference(relative_to)
    if reference is None:
        return None
    others = [case for case in task.cases if case is not reference and case.why_not_comparable(reference) is None]
    ratios = [case.ratio_to(reference, "pipeline") for case in others if case.finished]
    return max((one.half_width for one in ratios if one), default=None)


def group_by_task(records: Iterable[Record]) -> list[TaskLaunches]:
    """Group records by task and division, and then by case.

    Tasks are in the order of the run, their cases in the order of the backends' registry and then of their names, in
    whatever order the records come: the same case is the reference while a run measures and at its end. Processes that
    exchange nothing are no case of a task: `bench.analysis.scaling` finds them.
    """
    tasks: dict[tuple[str, str, str], dict[str, list[Record]]] = {}
    ranks = {backend: rank for rank, backend in enumerate(REGISTRY)}
    divisions = list(DIVISIONS)

    def place(record: Record) -> tuple[int, int, int, str]:
        rank = ranks.get(record.backend, len(ranks))
        return record.position, divisions.index(get_division(record.variant)), rank, record.case

    for record in sorted((one for one in records if one.variant.exchange is None), key=place):
        cases = tasks.setdefault((record.task.name, record.task_hash, get_division(record.variant)), {})
        cases.setdefault(record.case, []).append(record)
    return [
        TaskLaunches(tuple(CaseLaunches(_sort_by_launch(launches)) for launches in cases.values()))
        for cases in tasks.values()
    ]


def _sort_by_launch(records: Sequence[Record]) -> tuple[Record, ...]:
    return tuple(sorted(records, key=lambda record: record.launch))


def _rounds(record: Record, kind: Kind) -> Rounds | None:
    rounds: Rounds | None = getattr(record, kind)
    return rounds if rounds and rounds.seconds else None
