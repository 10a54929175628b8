"""The warnings of a search's launches, summed up for people."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis import warnings
from bench.analysis.warning_summary import sum_up_warnings
from bench.records.record import MeasurementWarning
from bench.tune.crew_launch import LaunchResult

#: How many variants a line names.
MAX_NAMED = 3


def sum_up_launches(launches: Sequence[LaunchResult], confirmed: int, advice: str) -> tuple[MeasurementWarning, ...]:
    """Sum up the warnings of all launches: one of each name, with its first evidence and where it was raised.

    Args:
        launches: of the search.
        confirmed: how many launches the speed-up of the result comes from; 0 if there is none.
        advice: what to do for more launches.
    """
    every = {name for launch in launches for name in launch.seconds}

    def describe(variants: Sequence[str]) -> str:
        if every <= set(variants):
            return "every variant"
        more = f" and {len(variants) - MAX_NAMED} more" if len(variants) > MAX_NAMED else ""
        return f"{', '.join(variants[:MAX_NAMED])}{more}"

    too_few = (warnings.make_warning(*one) for one in warnings.check_launch_count(confirmed))
    return (
        *(warning.model_copy(update={"advice": advice}) for warning in too_few),
        *sum_up_warnings([launch.warnings for launch in launches], describe=describe),
    )
