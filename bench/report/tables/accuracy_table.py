"""The accuracy table: losses and test accuracy of the whole fine-tunes."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from bench.analysis.launches import CaseLaunches, TaskLaunches
from bench.analysis.statistics import Interval, adjust_by_holm, mcnemar_p, mean, wilson_interval
from bench.records.correct_images import decode_correct_images
from bench.records.record import FineTune
from bench.report.tables.comparisons import SIGNIFICANT
from bench.report.tables.number_format import format_interval
from bench.report.tables.table import Cell, Column, Table


def build_accuracy_table(task: TaskLaunches) -> Table:
    """Build the table, one row per case: losses of its first fine-tune, mean accuracy over seeds, median seconds."""
    return Table(
        title=f"Accuracy: {task.name}",
        columns=(
            Column("case", figures=False),
            Column("train loss, first … last epoch"),
            Column("test accuracy"),
            Column("seeds"),
            Column("fine-tune s"),
            Column("evaluation s"),
            Column("training images"),
            Column("test images"),
        ),
        rows=tuple(_row(case) for case in task.cases),
        notes=tuple(_notes(task)),
    )


def _row(case: CaseLaunches) -> tuple[Cell, ...]:
    if not case.fine_tunes:
        return (Cell(case.label), Cell(case.placeholder), *(Cell("–") for _ in range(6)))
    first = case.fine_tunes[0]
    return (
        Cell(case.label),
        Cell(" … ".join(f"{loss:.4f}" for loss in dict.fromkeys((first.train_loss[0], first.train_loss[-1])))),
        Cell(_accuracy(case)),
        Cell(str(len(group_by_seed(case)))),
        Cell(f"{statistics.median(tune.seconds for tune in case.fine_tunes):,.1f}"),
        Cell(f"{statistics.median(tune.evaluation_s for tune in case.fine_tunes):,.1f}"),
        Cell(f"{first.train_images:,}"),
        Cell(f"{first.test_images:,}"),
    )


def compute_accuracy(case: CaseLaunches) -> Interval | None:
    """Compute the share of the test images that a case classifies correctly, mean over its seeds; None without any."""
    tunes = [tune for tune in group_by_seed(case).values() if tune.correct is not None]
    return _average([(tune.correct or 0, tune.test_images) for tune in tunes]) if tunes else None


def compute_epoch_accuracies(case: CaseLaunches) -> list[Interval]:
    """Compute the share of test images that are classified correctly after each epoch; empty where it is not known."""
    tunes = [tune for tune in group_by_seed(case).values() if tune.epoch_correct]
    return [
        _average([(correct, tune.epoch_test_images) for correct, tune in zip(epoch, tunes, strict=True)])
        for epoch in zip(*(tune.epoch_correct for tune in tunes), strict=True)
    ]


def _average(counts: Sequence[tuple[int, int]]) -> Interval:
    """The mean share of several seeds, or the share of one, from correct images and all images of each."""
    shares = [correct / images for correct, images in counts]
    return mean(shares) if len(shares) > 1 else wilson_interval(*counts[0])


def _accuracy(case: CaseLaunches) -> str:
    accuracy = compute_accuracy(case)
    if accuracy is None:
        return "random weights: no accuracy" if case.first.task.weights == "random" else "not measured"
    percent = format_interval(accuracy, lambda share: f"{100 * share:.2f}")
    head, bracket, rest = percent.partition(" [")
    return f"{head} %{bracket}{rest}"


def group_by_seed(case: CaseLaunches) -> dict[int, FineTune]:
    """Return the first fine-tune of each seed."""
    tunes: dict[int, FineTune] = {}
    for tune in case.fine_tunes:
        tunes.setdefault(tune.seed, tune)
    return tunes


def _notes(task: TaskLaunches) -> Iterator[str]:
    yield "train loss: mean over the images of an epoch, in the first fine-tune; seconds: medians over fine-tunes"
    if any(len(group_by_seed(case)) > 1 for case in task.cases):
        yield "test accuracy: mean over the seeds [95 % t-interval]"
    else:
        yield "test accuracy: share of the test images that are classified correctly [95 % binomial interval]"
    yield from _compare_pairs(task)
    for case in task.cases:
        if note := _describe_spread(case):
            yield note


@dataclass(frozen=True)
class AccuracyComparison:
    """McNemar's test of two cases on the test images of the first seed that both have.

    `only_one` and `only_other` count the images that only one of the two classifies correctly; `p` has Holm's
    correction for all pairs of the task.
    """

    one: CaseLaunches
    other: CaseLaunches
    only_one: int
    only_other: int
    p: float

    @property
    def is_certain(self) -> bool:
        """Whether the difference is certain."""
        return self.p < SIGNIFICANT


def compare_accuracies(task: TaskLaunches) -> list[AccuracyComparison]:
    """Compare the accuracies of every pair of cases that may be compared and have predictions of one seed."""
    pairs = []
    for one, other in combinations(task.cases, 2):
        mine, theirs = group_by_seed(one), group_by_seed(other)
        seed = next((seed for seed in mine if seed in theirs), None)
        if seed is None or one.why_not_comparable(other):
            continue
        left, right = mine[seed], theirs[seed]
        if left.right is None or right.right is None or left.test_images != right.test_images:
            continue
        a, b = (decode_correct_images(tune.right or "", tune.test_images) for tune in (left, right))
        only_one, only_other = int(np.sum(a & ~b)), int(np.sum(b & ~a))
        pairs.append(AccuracyComparison(one, other, only_one, only_other, mcnemar_p(only_one, only_other)))
    adjusted = adjust_by_holm([pair.p for pair in pairs])
    return [replace(pair, p=p) for pair, p in zip(pairs, adjusted, strict=True)]


def _compare_pairs(task: TaskLaunches) -> Iterator[str]:
    for pair in compare_accuracies(task):
        counts = f"{pair.only_one} test images are correct only in the first, {pair.only_other} only in the second"
        outcome = "the difference is certain" if pair.is_certain else "no difference found"
        test = f"McNemar's test with Holm's correction: p = {pair.p:.2g}"
        yield f"{pair.one.label} and {pair.other.label}: {counts}; {outcome} ({test})"


def _describe_spread(case: CaseLaunches) -> str | None:
    """Describe fine-tunes of one seed whose accuracy differs; None where all agree, as they should."""
    seeds = [tune.seed for tune in case.fine_tunes]
    for seed in dict.fromkeys(seeds):
        counts = [tune.correct for tune in case.fine_tunes if tune.seed == seed and tune.correct is not None]
        if len(set(counts)) > 1:
            span = f"{min(counts):,} to {max(counts):,}"
            return f"{case.label}: {len(counts)} fine-tunes with seed {seed} classify {span} test images correctly"
    return None
