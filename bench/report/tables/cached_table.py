"""The table of cached features: seconds of the extraction, of training the head, and of the whole fine-tune."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from bench.analysis.launches import CaseLaunches, TaskLaunches
from bench.records.record import FineTune, Record, StartUp
from bench.report.tables.table import Cell, Column, Table


def build_cached_table(task: TaskLaunches, recomputed: TaskLaunches | None) -> Table:
    """Build the table: one row per case.

    Args:
        task: a task in the division `cached`.
        recomputed: the same task in the division `default`, if it was measured in this run.
    """
    defaults = {case.first.backend: case for case in recomputed.cases} if recomputed else {}
    return Table(
        title=f"Cached features: {task.name}",
        columns=(
            Column("case", figures=False),
            Column("extraction images/s"),
            Column("extraction s"),
            Column("training of the head s"),
            Column("total s, empty cache"),
            Column("total s, cached"),
            Column("total s, recomputed"),
        ),
        rows=tuple(_row(case, defaults.get(case.first.backend)) for case in task.cases),
        notes=(
            "extraction: computing the features of all training and test images once; if they were cached before this "
            "run, its seconds are those of the run that computed them",
            "total: from the start of the process to the end of the evaluation; empty cache: with the extraction; "
            "cached: features are read from the cache; recomputed: the backend's default variant in this run (× the "
            "total with an empty cache); medians over launches",
            *_describe_forms(task),
        ),
    )


def _describe_forms(task: TaskLaunches) -> Iterator[str]:
    """Say in which form each case's features were extracted, if that was noted."""
    forms = {
        case.label: ", ".join(
            dict.fromkeys(one.features.form for one in case.finished if one.features and one.features.form)
        )
        for case in task.cases
    }
    if any(forms.values()):
        yield "form of the extraction: " + "; ".join(f"{label}: {form}" for label, form in forms.items() if form)


def _row(case: CaseLaunches, default: CaseLaunches | None) -> tuple[Cell, ...]:
    tunes = [
        (r.start_up, r.features, tune) for r in case.finished for tune in r.fine_tunes if r.start_up and r.features
    ]
    features = [record.features for record in case.finished if record.features]
    if not features:
        return (Cell(case.label), Cell(case.placeholder), *(Cell("–") for _ in range(5)))
    read_s = [r.start_up.extraction_s for r in case.finished if r.start_up and r.features and r.features.hit]
    seconds = median(one.extraction_s for one in features)
    rate = median(one.images / one.extraction_s for one in features)
    empty = median(_without_features(start, tune) + one.extraction_s for start, one, tune in tunes) if tunes else None
    cached = (
        median(_without_features(start, tune) for start, _, tune in tunes) + median(read_s)
        if tunes and read_s
        else None
    )
    return (
        Cell(case.label),
        Cell(f"{rate:,.0f}"),
        Cell(f"{seconds:,.1f}"),
        Cell(f"{median(tune.seconds for *_, tune in tunes):,.1f}" if tunes else "–"),
        Cell(f"{empty:,.1f}" if empty else "–"),
        Cell(f"{cached:,.1f}" if cached else "–"),
        Cell(_format_recomputed(empty, default)),
    )


def _without_features(start: StartUp, tune: FineTune) -> float:
    """Return the wall time without computing or reading the features."""
    return start.elapsed_s - start.extraction_s + tune.elapsed_s


def _format_recomputed(empty: float | None, default: CaseLaunches | None) -> str:
    totals = [total for record in default.finished for total in _wall_times(record)] if default else []
    if not empty or not totals:
        return "–"
    return f"{median(totals):,.1f} ({median(totals) / empty:.1f} ×)"


def _wall_times(record: Record) -> list[float]:
    return [record.start_up.elapsed_s + tune.elapsed_s for tune in record.fine_tunes] if record.start_up else []
