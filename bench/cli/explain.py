"""`bench explain`: which of the knobs that `bench tune` turned makes a step how much faster, and when it has paid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from bench.cli.option_groups import OUTPUT, BackendOptions, DataOptions, OutputOptions, TaskOptions, WaitOption, request


@Parameter(name="*", group=OUTPUT)
@dataclass(frozen=True)
class PlotOutput(OutputOptions):
    """Where the plot goes."""

    output: Annotated[
        Path | None, Parameter(help="File for the plot: .png, .svg or .pdf; in --results by default.")
    ] = None


def explain(
    *,
    task: TaskOptions = TaskOptions(),
    case: BackendOptions = BackendOptions(),
    data: DataOptions = DataOptions(),
    effort: WaitOption = WaitOption(),
    output: PlotOutput = PlotOutput(),
) -> int:
    """Show how much faster each knob makes a step.

    The knobs are those that `bench tune` set. It also shows after how many steps a longer start has paid off.
    """
    from bench.tune.explanation_tables import show_steps

    return show_steps(effort.wait, output.output, output.results, request(task, case, data))
