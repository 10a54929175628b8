"""`bench explain`: show how much each tuned knob contributes, and when a longer start-up is amortised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from bench.cli.option_groups import (
    OUTPUT,
    BackendOptions,
    DataOptions,
    OutputOptions,
    TaskOptions,
    WaitOption,
    make_request,
)
from bench.cli.option_values import UserPath


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class PlotOutput(OutputOptions):
    """Where the plot goes."""

    output: Annotated[
        UserPath | None, Parameter(help="File for the plot (.png, .svg or .pdf); in --results by default.")
    ] = None


def explain(
    *,
    task: TaskOptions = TaskOptions(),
    case: BackendOptions = BackendOptions(),
    data: DataOptions = DataOptions(),
    effort: WaitOption = WaitOption(),
    output: PlotOutput = PlotOutput(),
) -> int:
    """Show how much each tuned knob speeds up a step.

    Run `bench tune` first. It also shows after how many steps a longer start-up is amortised.
    """
    from bench.tune.explanation_run import show_explanations

    return show_explanations(effort.wait, output.output, output.results, make_request(task, case, data))
