"""The accuracy table: losses and test accuracy of the whole fine-tunes."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from itertools import combinations

import numpy as np

from bench.analysis.launches import CaseLaunches, TaskLaunches
from bench.analysis.statistics import adjust_by_holm, mcnemar_p, mean, wilson_interval
from bench.records.correct_images import decode_correct_images
from bench.records.record import FineTune
from bench.report.tables.number_format import format_interval
from bench.report.tables.table import Cell, Column, Table


def build_accuracy_table(task: TaskLaunches) -> Table:
    """Build the table, one row per case: losses of its first fine-tune, mean accuracy over seeds, median seconds."""
    return Table(
        title=f"Accuracy: {task.name}",
        columns=(
            Column("case", figures=False),
            Column("train loss by epoch"),
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
        Cell(", ".join(f"{loss:.4f}" for loss in first.train_loss)),
        Cell(_accuracy(case)),
        Cell(str(len(_by_seed(case)))),
        Cell(f"{statistics.median(tune.seconds for tune in case.fine_tunes):,.1f}"),
        Cell(f"{statistics.median(tune.evaluation_s for tune in case.fine_tunes):,.1f}"),
        Cell(f"{first.train_images:,}"),
        Cell(f"{first.test_images:,}"),
    )


def _accuracy(case: CaseLaunches) -> str:
    tunes = [tune for tune in _by_seed(case).values() if tune.correct is not None]
    if not tunes:
        return "random weights: no accuracy" if case.first.task.weights == "random" else "not measured"
    shares = [tune.correct / tune.test_images for tune in tunes if tune.correct is not None]
    accuracy = mean(shares) if len(shares) > 1 else wilson_interval(tunes[0].correct or 0, tunes[0].test_images)
    percent = format_interval(accuracy, lambda share: f"{100 * share:.2f}")
    head, bracket, rest = percent.partition(" [")
    return f"{head} %{bracket}{rest}"


def _by_seed(case: CaseLaunches) -> dict[int, FineTune]:
    """Return the first fine-tune of each seed."""
    tunes: dict[int, FineTune] = {}
    for tune in case.fine_tunes:
        tunes.setdefault(tune.seed, tune)
    return tunes


def _notes(task: TaskLaunches) -> Iterator[str]:
    yield "train loss: mean over the images of an epoch, in the first fine-tune; seconds: medians over fine-tunes"
    if any(len(_by_seed(case)) > 1 for case in task.cases):
        yield "test accuracy: mean over the seeds [95 % t-interval]"
    else:
        yield "test accuracy: share of the test images that are classified correctly [95 % binomial interval]"
    yield from _compare_pairs(task)
    for case in task.cases:
        if note := _describe_spread(case):
            yield note


def _compare_pairs(task: TaskLaunches) -> Iterator[str]:
    """Compare every pair of cases by McNemar's test, on the test images of the first seed that both have."""
    pairs = []
    for one, other in combinations(task.cases, 2):
        mine, theirs = _by_seed(one), _by_seed(other)
        seed = next((seed for seed in mine if seed in theirs), None)
        if seed is None or one.why_not_comparable(other):
            continue
        left, right = mine[seed], theirs[seed]
        if left.right is None or right.right is None or left.test_images != right.test_images:
            continue
        a, b = (decode_correct_images(tune.right or "", tune.test_images) for tune in (left, right))
        only_one, only_other = int(np.sum(a & ~b)), int(np.sum(b & ~a))
        counts = f"{only_one} test images are correct only in the first, {only_other} only in the second"
        pairs.append((f"{one.label} and {other.label}: {counts}", mcnemar_p(only_one, only_other)))
    for (counts, _), p in zip(pairs, adjust_by_holm([p for _, p in pairs]), strict=True):
        outcome = "the difference is certain" if p < 0.05 else "no difference found"
        yield f"{counts}; {outcome} (McNemar's test with Holm's correction: p = {p:.2g})"


def _describe_spread(case: CaseLaunches) -> str | None:
    """Describe fine-tunes of one seed whose accuracy differs; None where all agree, as they should."""
    seeds = [tune.seed for tune in case.fine_tunes]
    for seed in dict.fromkeys(seeds):
        counts = [tune.correct for tune in case.fine_tunes if tune.seed == seed and tune.correct is not None]
        if len(set(counts)) > 1:
            span = f"{min(counts):,} to {max(counts):,}"
            return f"{case.label}: {len(counts)} fine-tunes with seed {seed} classify {span} test images correctly"
    return None
