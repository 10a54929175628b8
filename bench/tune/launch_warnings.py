"""The warnings of a search's launches, summed up for people."""

from __future__ import annotations

from collections.abc import Sequence

from bench.analysis import warnings
from bench.records.record import MeasurementWarning
from bench.tune.crew_launch import LaunchResult

#: How many variants a line names.
MAX_NAMED = 3


def sum_up_warnings(launches: Sequence[LaunchResult], confirmed: int, advice: str) -> tuple[MeasurementWarning, ...]:
    """Sum up the warnings of all launches: one of each name, with its first evidence and where it was raised.

    Args:
        launches: of the search.
        confirmed: how many launches the speed-up of the result comes from; 0 if there is none.
        advice: what to do for more launches.
    """
    found: dict[str, dict[tuple[int, str], list[MeasurementWarning]]] = {}
    for number, launch in enumerate(launches):
        for variant, raised in launch.warnings.items():
            for warning in raised:
                found.setdefault(warning.name, {}).setdefault((number, variant), []).append(warning)
    every = {name for launch in launches for name in launch.seconds}
    summed_up = [
        warning.model_copy(update={"advice": advice})
        for warning in (warnings.make_warning(*one) for one in warnings.check_launch_count(confirmed))
    ]
    for places in found.values():
        first = next(iter(places.values()))
        variants = list(dict.fromkeys(variant for _, variant in places))
        more = f" and {len(variants) - MAX_NAMED} more" if len(variants) > MAX_NAMED else ""
        where = "every variant" if every <= set(variants) else f"{', '.join(variants[:MAX_NAMED])}{more}"
        count = len({number for number, _ in places})
        evidence = ", ".join(warning.evidence for warning in first)
        summed_up.append(
            first[0].model_copy(update={"evidence": f"{where}, {count} of {len(launches)} launches: {evidence}"})
        )
    return tuple(summed_up)


def format_warning(warning: MeasurementWarning) -> str:
    """Format a warning as the notes under a table are."""
    return f"• warning {warning.name}, {warning.evidence}; {warning.advice}"
