"""The accuracy table: what the whole fine-tune came to."""

from __future__ import annotations

import statistics

from bench.stats import binomial
from bench.tables.launches import CaseLaunches, TaskLaunches
from bench.tables.table import Cell, Column, Table


def accuracy_table(task: TaskLaunches) -> Table:
    """One row per case: losses and accuracy of its first fine-tune, seconds as the median over launches."""
    notes = [
        "train loss: mean over an epoch's images; [low–high]: 95 % binomial interval of the test images",
        *(note for case in task.cases if (note := _spread(case))),
    ]
    return Table(
        title=f"Accuracy: {task.name}",
        columns=(
            Column("case", figures=False),
            Column("train loss by epoch"),
            Column("test accuracy"),
            Column("fine-tune s"),
            Column("evaluation s"),
            Column("training images"),
            Column("test images"),
        ),
        rows=tuple(_row(case) for case in task.cases),
        notes=tuple(notes),
    )


def _row(case: CaseLaunches) -> tuple[Cell, ...]:
    if not case.fine_tunes:
        return (Cell(case.label), Cell(case.absence), *(Cell("–") for _ in range(5)))
    first = case.fine_tunes[0]
    if first.correct is None:
        random = case.first.task.weights == "random"
        accuracy = "random weights: no accuracy" if random else "not measured"
    else:
        share = binomial(first.correct, first.test_images)
        accuracy = f"{_percent(share.estimate)} % [{_percent(share.low)}–{_percent(share.high)}]"
    return (
        Cell(case.label),
        Cell(", ".join(f"{loss:.4f}" for loss in first.train_loss)),
        Cell(accuracy),
        Cell(f"{statistics.median(tune.seconds for tune in case.fine_tunes):,.1f}"),
        Cell(f"{statistics.median(tune.evaluation_s for tune in case.fine_tunes):,.1f}"),
        Cell(f"{first.train_images:,}"),
        Cell(f"{first.test_images:,}"),
    )


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f}"


def _spread(case: CaseLaunches) -> str | None:
    """Launches of one seed should agree; where they do not, the table does not hide it."""
    counts = [tune.correct for tune in case.fine_tunes if tune.correct is not None]
    if len(set(counts)) < 2:
        return None
    found = f"{min(counts):,} to {max(counts):,}"
    return f"{case.label}: {found} correct in {len(counts)} launches of the same seed"
