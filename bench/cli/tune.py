"""`bench tune`: find the fastest knobs of each backend on this machine, prove them, and save them."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from bench.cli.option_groups import (
    EFFORT,
    BackendOptions,
    DataOptions,
    OutputOptions,
    TaskOptions,
    WaitOption,
    make_request,
)
from bench.cli.option_values import Seconds


def tune(
    *,
    task: TaskOptions = TaskOptions(),
    case: BackendOptions = BackendOptions(),
    data: DataOptions = DataOptions(),
    budget: Annotated[
        Seconds,
        Parameter(
            group=EFFORT,
            show_default=lambda seconds: f"{seconds / 60:g}m",
            help="Time for each backend and task, with the proof, as `90s` or `5m`.",
        ),
    ] = 300.0,
    effort: WaitOption = WaitOption(),
    output: OutputOptions = OutputOptions(),
) -> int:
    """Find the fastest knobs of each backend on this machine.

    It proves that the result is the same fine-tune, and saves it as the variant `tuned`.
    """
    from bench.tune.tuning import tune_backends

    return tune_backends(budget, effort.wait, make_request(task, case, data, output))
