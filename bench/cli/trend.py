"""`bench trend`: figures over the runs of a folder, or over a baseline's git history, and where they changed."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from bench.cli import completers
from bench.cli.option_groups import OWN, Names, OutputOptions


def trend(
    *,
    case: Annotated[
        Names,
        Parameter(group=OWN, metavar="TEXT", help="Part of the names of cases to show; repeatable, all by default."),
    ] = (),
    metric: Annotated[
        Names,
        Parameter(
            group=OWN, metavar="NAME", completer=completers.metrics, help="Metric to show; repeatable, all by default."
        ),
    ] = (),
    history: Annotated[
        str | None,
        Parameter(
            group=OWN,
            metavar="BASELINE",
            completer=completers.baselines,
            help="Baseline whose git history is shown in place of the runs.",
        ),
    ] = None,
    output: OutputOptions = OutputOptions(),
) -> None:
    """Show figures over all runs, and where they changed for good."""
    from bench.trend.trend_tables import show_series

    show_series(case, metric, history, output.results)
