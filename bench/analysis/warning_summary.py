"""The warnings of many launches, summed up: one of each name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.records.record import MeasurementWarning


def sum_up_warnings(
    launches: Sequence[Mapping[str, Sequence[MeasurementWarning]]],
    unit: str = "launches",
    describe: Callable[[Sequence[str]], str] = lambda names: "",
) -> tuple[MeasurementWarning, ...]:
    """Sum up warnings: the first evidence of each, with the number of launches that have it.

    Args:
        launches: the warnings of each launch, by the name of what was launched.
        unit: what is counted.
        describe: describes the names that have a warning, for its evidence; an empty text is left out.
    """
    found: dict[str, dict[tuple[int, str], list[MeasurementWarning]]] = {}
    for number, launch in enumerate(launches):
        for name, raised in launch.items():
            for warning in raised:
                found.setdefault(warning.name, {}).setdefault((number, name), []).append(warning)
    summed_up = []
    for places in found.values():
        first = next(iter(places.values()))
        where = describe(list(dict.fromkeys(name for _, name in places)))
        count = f"{len({number for number, _ in places})} of {len(launches)} {unit}"
        evidence = ", ".join(warning.evidence for warning in first)
        text = f"{', '.join(filter(None, (where, count)))}: {evidence}"
        summed_up.append(first[0].model_copy(update={"evidence": text}))
    return tuple(summed_up)


def format_warning(warning: MeasurementWarning) -> str:
    """Format a summed-up warning in a line, as the notes under a table are."""
    return f"warning {warning.name}, {warning.evidence}; {warning.advice}"
