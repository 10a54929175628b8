"""`bench gate-selftest`: false alarms and detections of the gate on this machine, from real launch pairs."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from bench.cli.option_groups import EFFORT, WaitOption, numeric


def gate_selftest(
    *,
    hours: Annotated[
        float | None, numeric(0.01, float), Parameter(group=EFFORT, help="Hours to spend; about 1.5 by default.")
    ] = None,
    effort: WaitOption = WaitOption(),
) -> int:
    """Measure how often the gate is right on this machine.

    It compares the revision with itself, and with commits that slow training down.
    """
    from bench.gate.error_rate_run import measure_error_rates

    return measure_error_rates(hours, effort.wait)
