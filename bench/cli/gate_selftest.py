"""`bench gate-selftest`: measure the gate's rates of false alarms and of detected slowdowns on this machine."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from bench.cli.option_groups import EFFORT, DataOptions, WaitOption
from bench.cli.option_values import make_number_parameter


def gate_selftest(
    *,
    hours: Annotated[
        float | None,
        make_number_parameter(0.01, float),
        Parameter(group=EFFORT, help="Time limit in hours; none by default."),
    ] = None,
    only_unchanged: Annotated[
        bool, Parameter(group=EFFORT, help="Compare the revision with itself only, in all of the time.")
    ] = False,
    data: DataOptions = DataOptions(),
    effort: WaitOption = WaitOption(),
) -> int:
    """Measure how often the gate is right on this machine.

    It compares the revision with itself, and with planted commits that slow training down.
    """
    from bench.gate.error_rate_run import measure_error_rates

    return measure_error_rates(hours, effort.wait, data.data_dir, data.checkpoint, only_unchanged, data.images)
