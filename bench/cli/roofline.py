"""`bench roofline`: show how near each case comes to the limits of this machine, and what bounds it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from cyclopts import Parameter

from bench.cli.option_groups import (
    EFFORT,
    CaseOptions,
    DataOptions,
    EffortOptions,
    OutputOptions,
    TaskOptions,
    make_request,
)
from bench.cli.option_values import make_number_parameter


@Parameter(name="*", group=EFFORT)
@dataclass(frozen=True)
class RooflineEffort(EffortOptions):
    """How thoroughly to measure, with the defaults of `bench.roofline.roofline_run`."""

    launches: Annotated[
        int | None, make_number_parameter(1), Parameter(help="Number of times that each case is started; 3 by default.")
    ] = None
    rounds: Annotated[
        int | None, make_number_parameter(2), Parameter(help="Timed rounds in each launch; 3 by default.")
    ] = None


def roofline(
    *,
    task: TaskOptions = TaskOptions(),
    case: CaseOptions = CaseOptions(),
    data: DataOptions = DataOptions(),
    effort: RooflineEffort = RooflineEffort(),
    output: OutputOptions = OutputOptions(),
) -> int:
    """Show how near each case comes to the limits of this machine.

    It shows what bounds each case (input, compute, memory or overhead), and stores all figures in --results.
    """
    from bench.roofline.roofline_run import show_roofline

    return show_roofline(effort.wait, make_request(task, case, data, effort, output))
