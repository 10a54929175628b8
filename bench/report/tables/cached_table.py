"""The table of cached features: what extraction costs once, what the head costs then, and the whole."""

from __future__ import annotations

from statistics import median

from bench.analysis.launches import CaseLaunches, TaskLaunches
from bench.records.record import FineTune, Record, StartUp
from bench.report.tables.table import Cell, Column, Table


def cached_table(task: TaskLaunches, recomputed: TaskLaunches | None) -> Table:
    """One row per case.

    Args:
        task: of the division `cached`.
        recomputed: the same task in the division `default`, if it was measured in this run.
    """
    plain = {case.first.backend: case for case in recomputed.cases} if recomputed else {}
    return Table(
        title=f"Cached features: {task.name}",
        columns=(
            Column("case", figures=False),
            Column("extraction images/s"),
            Column("extraction s"),
            Column("head's epochs s"),
            Column("total s, nothing cached"),
            Column("total s, cached"),
            Column("recomputed total s"),
        ),
        rows=tuple(_row(case, plain.get(case.first.backend)) for case in task.cases),
        notes=(
            "extraction: training and test images, once; total: from the start of the process to the end of the "
            "evaluation, with the extraction, and with features that are read from the cache; recomputed: of the "
            "backend's default in this run, and how many times the total with nothing cached it is; medians over "
            "launches; where features were found, extraction's seconds are those of the run that made them",
        ),
    )


def _row(case: CaseLaunches, plain: CaseLaunches | None) -> tuple[Cell, ...]:
    whole = [
        (r.start_up, r.features, tune) for r in case.finished for tune in r.fine_tunes if r.start_up and r.features
    ]
    made = [record.features for record in case.finished if record.features]
    if not made:
        return (Cell(case.label), Cell(case.absence), *(Cell("–") for _ in range(5)))
    read = [r.start_up.extraction_s for r in case.finished if r.start_up and r.features and r.features.hit]
    seconds = median(found.extraction_s for found in made)
    rate = median(found.images / found.extraction_s for found in made)
    first = median(_without(start, tune) + found.extraction_s for start, found, tune in whole) if whole else None
    again = median(_without(start, tune) for start, _, tune in whole) + median(read) if whole and read else None
    return (
        Cell(case.label),
        Cell(f"{rate:,.0f}"),
        Cell(f"{seconds:,.1f}"),
        Cell(f"{median(tune.seconds for *_, tune in whole):,.1f}" if whole else "–"),
        Cell(f"{first:,.1f}" if first else "–"),
        Cell(f"{again:,.1f}" if again else "–"),
        Cell(_against(first, plain)),
    )


def _without(start: StartUp, tune: FineTune) -> float:
    """The wall time less what obtaining the features took."""
    return start.elapsed_s - start.extraction_s + tune.elapsed_s


def _against(first: float | None, plain: CaseLaunches | None) -> str:
    walls = [wall for record in plain.finished for wall in _walls(record)] if plain else []
    if not first or not walls:
        return "–"
    return f"{median(walls):,.1f} ({median(walls) / first:.1f} ×)"


def _walls(record: Record) -> list[float]:
    return [record.start_up.elapsed_s + tune.elapsed_s for tune in record.fine_tunes] if record.start_up else []
