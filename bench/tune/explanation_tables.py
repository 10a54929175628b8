"""The tables of `bench explain`."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis.break_even import BreakEven
from bench.analysis.statistics import Interval
from bench.report.tables.number_format import TOO_FEW_LAUNCHES, explain_unknown_lead
from bench.report.tables.table import Cell, Column, Table
from bench.tune.explanation import LAUNCHES, ROUNDS, Explanation, StartUpComparison


def build_effect_table(title: str, explanation: Explanation, launches: int = LAUNCHES, rounds: int = ROUNDS) -> Table:
    """Build a table with a row for each knob."""
    rows = [
        (
            Cell(f"{effect.knob} {effect.value}"),
            *(Cell(_format_ratio(ratio)) for ratio in (effect.over_previous, effect.over_default, effect.over_without)),
        )
        for effect in explanation.effects
    ]
    return Table(
        f"{title}: from default to tuned",
        (
            Column("knob", figures=False),
            Column("× the step before"),
            Column("× the default so far"),
            Column("tuned, × without it"),
        ),
        tuple(rows),
        (f"{launches} launches of {rounds} rounds each, `pipeline` steps; [low–high]: 95 % interval",),
    )


def build_break_even_table(title: str, start_ups: Sequence[StartUpComparison], steps_in_epoch: int) -> Table:
    """Build a table with a row for each comparison: how much longer the start-up is, and when that is amortised."""
    rows = [
        (Cell(one.label), Cell(name), *_make_break_even_cells(one, start, steps_in_epoch))
        for one in start_ups
        for name, start in (("first", one.first_start), ("later", one.later_starts))
    ]
    return Table(
        f"{title}: start-up and when it is amortised",
        (
            Column("compared", figures=False),
            Column("start", figures=False),
            Column("longer by, s"),
            Column("break-even", figures=False),
        ),
        tuple(rows),
        (
            "longer by: seconds that import, build and first step take longer; first: the compiler has kept nothing "
            "yet, one launch; later: it finds on disk what it kept, the mean of the other launches [least–most]",
            "a partial last batch and an evaluation are compiled too, which is not included; "
            f"an epoch is {steps_in_epoch:,} steps",
        ),
    )


def _make_break_even_cells(
    comparison: StartUpComparison, start: BreakEven | None, steps_in_epoch: int
) -> tuple[Cell, Cell]:
    if start is None or comparison.speedup is None:
        return Cell("died"), Cell("–")
    longer = Cell(f"{start.longer_start_s:+.1f}")
    if reason := explain_unknown_lead(comparison.speedup):
        return longer, Cell(f"unknown: {reason}")
    return longer, Cell(start.describe(steps_in_epoch))


def _format_ratio(ratio: Interval | None) -> str:
    if ratio is None:
        return "died"
    text = f"{ratio.estimate:.2f}"
    return f"{text} ({TOO_FEW_LAUNCHES})" if ratio.low is None else f"{text} [{ratio.low:.2f}–{ratio.high:.2f}]"
