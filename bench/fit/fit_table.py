"""The table of `bench fit`, and the line of each trial."""

from __future__ import annotations

from collections.abc import Sequence

from bench.fit.batch_search import TOLERANCE, Trial
from bench.fit.fit_run import STEPS, CaseFit
from bench.records.units import MB
from bench.report.tables.table import Cell, Column, Table

COLUMNS = (
    Column("case", figures=False),
    Column("largest batch"),
    Column("memory MB"),
    Column("too large"),
    Column("trials"),
)


def describe_trial(fit: CaseFit, trial: Trial) -> str:
    """Describe a trial in a line."""
    what = f"{fit.name}: a batch of {trial.batch_size:,}"
    if trial.fits:
        return f"{what} fits" + (f", {trial.memory / MB:,.0f} MB" if trial.memory else "")
    return f"{what} does not: {trial.reason}"


def build_table(fits: Sequence[CaseFit]) -> Table:
    """Build the table of the cases of one task.

    Args:
        fits: at least one.
    """
    first = fits[0]
    limit = f"{first.limit / MB:,.0f} MB"
    place = {"host": f"{limit} of host memory", "device": f"the device's {limit}"}[first.place]
    notes = [
        f"it fits if {STEPS + 1} training steps fit in {place}; found to within {TOLERANCE:.0%}",
        "memory: of all processes of the case, without files that are mapped"
        if first.place == "host"
        else "memory: what the framework reserved on the device",
    ]
    if any(fit.bounds[0] and fit.bounds[0].batch_size == fit.most for fit in fits):
        notes.append("all: there are no more training images")
    notes += [f"{fit.name}: given up: {fit.failure}" for fit in fits if fit.failure]
    return Table(f"largest batch, {first.prepared.task.name}", COLUMNS, tuple(map(_build_row, fits)), tuple(notes))


def _build_row(fit: CaseFit) -> tuple[Cell, ...]:
    fitting, failing = fit.bounds
    largest = "none" if fitting is None else f"{fitting.batch_size:,}"
    if fitting and fitting.batch_size == fit.most:
        largest += " (all)"
    elif fit.failure and fitting is None:
        largest = "–"
    return (
        Cell(fit.name),
        Cell(largest),
        Cell(f"{fitting.memory / MB:,.0f}" if fitting and fitting.memory else "–"),
        Cell(f"{failing.batch_size:,}" if failing else "–"),
        Cell(str(len(fit.trials))),
    )
