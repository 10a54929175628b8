"""The figure of a roofline: what the time of each case's step goes into."""

from __future__ import annotations

from collections.abc import Sequence

from bench.report.figures.figure import StackedBar, StackedBars
from bench.roofline.achieved_rates import Roofline
from bench.roofline.roofline_tables import BOUNDS, MS, format_case

#: Most decimals of milliseconds.
DIGITS = 2


def build_share_bars(cases: Sequence[Roofline]) -> StackedBars | None:
    """Build the stacked bars of the milliseconds of a step; None if no case has them.

    Args:
        cases: of one task.
    """
    rows = []
    for case in cases:
        if case.bound and case.seconds:
            whole = MS * case.seconds.pipeline
            parts = tuple(whole * case.bound.shares[name] for name in BOUNDS)
            text = f"{whole:,.{DIGITS}f} ms, bound by {case.bound.name}"
            rows.append(StackedBar(format_case(case), parts, text))
    if not rows:
        return None
    return StackedBars(
        title=f"What a step's time goes into: {cases[0].step.task.name}",
        how_to_read="compute and memory: the convolutions, by what limits each, and the maps between them; overhead: "
        "the rest of a step on the device; input: what a step takes longer than on the device.",
        x_title="milliseconds of a step",
        parts=BOUNDS,
        rows=tuple(rows),
    )
