"""`bench trend`: show figures over all runs, or over a baseline's git history, and where they changed."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from bench.cli import completers
from bench.cli.option_groups import OPTIONS, OutputOptions
from bench.cli.option_values import Names


def trend(
    *,
    case: Annotated[
        Names,
        Parameter(group=OPTIONS, metavar="TEXT", help="Part of a case's name; repeatable, all cases by default."),
    ] = (),
    metric: Annotated[
        Names,
        Parameter(
            group=OPTIONS,
            metavar="NAME",
            completer=completers.list_metrics,
            help="Metric to show, as `pipeline` or `host-memory`; repeatable, all by default.",
        ),
    ] = (),
    history: Annotated[
        str | None,
        Parameter(
            group=OPTIONS,
            metavar="BASELINE",
            completer=completers.list_baselines,
            help="Show the git history of this baseline in place of the runs.",
        ),
    ] = None,
    output: OutputOptions = OutputOptions(),
) -> None:
    """Show figures over all runs, and where they changed.

    It marks permanent changes only: an outlier is not marked. With --case or --metric it shows each run, too.
    """
    from bench.trend.trend_tables import show_trends

    show_trends(case, metric, history, output.results)
