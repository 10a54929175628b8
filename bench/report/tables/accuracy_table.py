"""The accuracy table: what the whole fine-tunes came to, over their seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from itertools import combinations

import numpy as np

from bench.analysis.launches import CaseLaunches, TaskLaunches
from bench.analysis.statistics import binomial, holm, mcnemar, mean
from bench.records.correct_images import unpack
from bench.records.record import FineTune
from bench.report.tables.number_format import with_interval
from bench.report.tables.table import Cell, Column, Table


def accuracy_table(task: TaskLaunches) -> Table:
    """One row per case: losses of its first fine-tune, accuracy over its seeds, medians of the seconds."""
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
        return (Cell(case.label), Cell(case.absence), *(Cell("–") for _ in range(6)))
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
    found = mean(shares) if len(shares) > 1 else binomial(tunes[0].correct or 0, tunes[0].test_images)
    percent = with_interval(found, lambda share: f"{100 * share:.2f}")
    head, bracket, rest = percent.partition(" [")
    return f"{head} %{bracket}{rest}"


def _by_seed(case: CaseLaunches) -> dict[int, FineTune]:
    """The first fine-tune of each seed."""
    found: dict[int, FineTune] = {}
    for tune in case.fine_tunes:
        found.setdefault(tune.seed, tune)
    return found


def _notes(task: TaskLaunches) -> Iterator[str]:
    if any(len(_by_seed(case)) > 1 for case in task.cases):
        yield "train loss: mean over an epoch's images; [low–high]: 95 % t-interval over the seeds"
    else:
        yield "train loss: mean over an epoch's images; [low–high]: 95 % binomial interval of the test images"
    yield from _pairs(task)
    for case in task.cases:
        if note := _spread(case):
            yield note


def _pairs(task: TaskLaunches) -> Iterator[str]:
    """Every two cases by McNemar's test, on the test images of the first seed that both have."""
    found = []
    for one, other in combinations(task.cases, 2):
        mine, theirs = _by_seed(one), _by_seed(other)
        seed = next((seed for seed in mine if seed in theirs), None)
        if seed is None or one.not_comparable(other):
            continue
        left, right = mine[seed], theirs[seed]
        if left.right is None or right.right is None or left.test_images != right.test_images:
            continue
        a, b = (unpack(tune.right or "", tune.test_images) for tune in (left, right))
        only_one, only_other = int(np.sum(a & ~b)), int(np.sum(b & ~a))
        found.append((f"{one.label} and {other.label}", only_one, only_other, mcnemar(only_one, only_other)))
    for (names, only_one, only_other, _), p in zip(found, holm([p for *_, p in found]), strict=True):
        told = "differ for certain" if p < 0.05 else "no difference found"
        yield f"{names}: {only_one} and {only_other} images right in one alone, {told} (McNemar, Holm: p = {p:.2g})"


def _spread(case: CaseLaunches) -> str | None:
    """Launches of one seed should agree; where they do not, the table does not hide it."""
    seeds = [tune.seed for tune in case.fine_tunes]
    for seed in dict.fromkeys(seeds):
        counts = [tune.correct for tune in case.fine_tunes if tune.seed == seed and tune.correct is not None]
        if len(set(counts)) > 1:
            found = f"{min(counts):,} to {max(counts):,}"
            return f"{case.label}: {found} correct in {len(counts)} fine-tunes of the seed {seed}"
    return None
