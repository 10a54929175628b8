"""A tuned variant in a table and in sentences: its knobs, what they gain, and what to do with it."""

from __future__ import annotations

from backends.knobs import get_default
from bench.analysis.statistics import Interval
from bench.plan.tuned_variants import TunedVariant
from bench.report.tables.table import Cell, Column, Table

#: How the note begins that says that a candidate was faster in its trial, and could not be confirmed.
UNCONFIRMED = "too little time to confirm"


def build_knob_table(tuned: TunedVariant) -> Table:
    """Build the table of the knobs that a tuned variant sets."""
    return Table(
        f"{tuned.backend}, {tuned.task}: tuned",
        (Column("knob", figures=False), Column("default", figures=False), Column("tuned", figures=False)),
        tuple((Cell(knob), Cell(get_default(tuned.backend, knob)), Cell(value)) for knob, value in tuned.knobs.items()),
        ("all other knobs stay at their default",),
    )


def describe_outcome(tuned: TunedVariant) -> str:
    """Describe the speed-up, the proof and the duration in a line."""
    speedup = None if tuned.speedup is None else Interval(tuned.speedup, tuned.low, tuned.high)
    nothing = "Nothing was confirmed" if _find_unconfirmed(tuned) else "Nothing is certainly faster than the default"
    result = f"{format_speedup(speedup)}, {tuned.proof}" if speedup else nothing
    return f"{result}; it took {tuned.seconds:.0f} s."


def advise(tuned: TunedVariant) -> str:
    """Say what to do with the result."""
    if not tuned.knobs and (unconfirmed := _find_unconfirmed(tuned)):
        return f"What to do: tune again, for there was {unconfirmed}."
    if not tuned.knobs:
        undecided = ", or tune again with a larger --budget" if tuned.notes else ""
        return f"What to do: train {tuned.backend} with its default{undecided}."
    return (
        f"What to do: measure it beside the default (bench run --backend {tuned.backend} --variant default --variant "
        f"tuned), and see what each knob contributes (bench explain --backend {tuned.backend})."
    )


def _find_unconfirmed(tuned: TunedVariant) -> str | None:
    """What there was too little time to confirm, and the budget that it needs; None if nothing."""
    return next((note for note in tuned.notes if note.startswith(UNCONFIRMED)), None)


def format_speedup(speedup: Interval) -> str:
    """Format a speed-up, as in `1.250 × the default [1.200–1.310]`."""
    text = f"{speedup.estimate:.3f} × the default"
    return text if speedup.low is None else f"{text} [{speedup.low:.3f}–{speedup.high:.3f}]"
