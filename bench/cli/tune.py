"""`bench tune`: find the fastest knobs of each backend on this machine, prove them, and keep them."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from bench.cli.option_groups import EFFORT, BackendOptions, DataOptions, Seconds, TaskOptions, WaitOption, request


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
            help="Time for each backend and task, the proof included: `90s`, `5m`.",
        ),
    ] = 300.0,
    effort: WaitOption = WaitOption(),
) -> int:
    """Find the knobs that make a backend's step fastest on this machine.

    It proves that the variant that it finds is the same fine-tune, and keeps it as `tuned`.
    """
    from bench.tune.tuning import find_fastest

    return find_fastest(budget, effort.wait, request(task, case, data))
