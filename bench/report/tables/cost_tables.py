"""The cost tables: the wall time of the whole fine-tune by part, and the share of loading that is hidden."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from bench.analysis.costs import WallTimeParts, compute_hidden_share, split_wall_time
from bench.analysis.launches import CaseLaunches, Kind, TaskLaunches
from bench.report.tables.number_format import format_rate
from bench.report.tables.table import Cell, Column, Table

#: The parts in the table, with their fields of `WallTimeParts`.
PARTS = {
    "import": "imported",
    "build": "build",
    "extraction": "extraction",
    "first step": "first_step",
    "input pipeline": "input_pipeline",
    "compute": "compute",
    "evaluation": "evaluation",
    "rest": "rest",
}


def build_cost_table(task: TaskLaunches) -> Table:
    """Build the table of parts, one row per case: seconds and shares of the wall time, medians over fine-tunes."""
    parts = {name: part for name, part in PARTS.items() if name != "extraction" or task.division == "cached"}
    return Table(
        title=f"Wall time of the whole fine-tune: {task.name}",
        columns=(Column("case", figures=False), Column("wall s"), *(Column(f"{name} s") for name in parts)),
        rows=tuple(_wall_time_row(case, parts) for case in task.cases),
        notes=(
            "wall: from the start of the process to the end of the evaluation; parts: seconds, and their share of the "
            "wall time in brackets; medians over fine-tunes",
            "first step: includes trace and compilation; input pipeline: the time that it adds to the training steps; "
            "rest: start of the process, the harness, reading images and checkpoint, closing the input pipeline",
        ),
    )


def build_loading_table(task: TaskLaunches) -> Table:
    """Build the table of loading, one row per case: rates of loading, of compute and of both, and the hidden share."""
    return Table(
        title=f"Loading: {task.name}",
        columns=(
            Column("case", figures=False),
            Column("loader images/s"),
            Column("compute images/s"),
            Column("pipeline images/s"),
            Column("loading hidden by compute"),
        ),
        rows=tuple(_loading_row(case) for case in task.cases),
        notes=(
            "loader: the input pipeline alone; compute: training steps without it; pipeline: training steps with it",
            "hidden: share of the loading time that overlaps with compute and so costs no time (0 % also if noise "
            "exceeds the loading time)",
        ),
    )


def compute_wall_seconds(case: CaseLaunches) -> float | None:
    """Compute the wall time of a whole fine-tune, the median over the case's fine-tunes; None without any."""
    return median(one.wall for one in times) if (times := list_wall_times(case)) else None


def _wall_time_row(case: CaseLaunches, fields: Mapping[str, str]) -> tuple[Cell, ...]:
    times, wall = list_wall_times(case), compute_wall_seconds(case)
    if wall is None:
        return (Cell(case.label), Cell(case.placeholder), *(Cell("–") for _ in fields))
    return (Cell(case.label), Cell(f"{wall:,.1f}"), *(Cell(_format_part(times, field)) for field in fields.values()))


def list_wall_times(case: CaseLaunches) -> list[WallTimeParts]:
    """Split the wall time of each of a case's fine-tunes into parts; empty where a part was not measured."""
    share = _compute_share(case)
    tunes = [(record, tune) for record in case.finished for tune in record.fine_tunes]
    return [parts for record, tune in tunes if share is not None and (parts := split_wall_time(record, tune, share))]


def _compute_share(case: CaseLaunches) -> float | None:
    """Return the `compute_share` of `split_wall_time`; 1 with cached features, which need no input pipeline."""
    if case.first.variant.features == "cached":
        return 1.0
    both, compute = (_per_image(case, kind) for kind in ("pipeline", "compute"))
    return min(1.0, compute / both) if both and compute else None


def _per_image(case: CaseLaunches, kind: Kind) -> float | None:
    """Return the seconds per image."""
    throughput = case.throughput(kind)
    return 1 / throughput.estimate if throughput else None


def _format_part(times: list[WallTimeParts], field: str) -> str:
    seconds = median(getattr(one, field) for one in times)
    share = median(getattr(one, field) / one.wall for one in times)
    return f"{seconds:,.1f} ({share:.0%})"


def _loading_row(case: CaseLaunches) -> tuple[Cell, ...]:
    loading, compute, both = (_per_image(case, kind) for kind in ("loader", "compute", "pipeline"))
    share = f"{compute_hidden_share(loading, compute, both):.0%}" if loading and compute and both else "–"
    return (
        Cell(case.label),
        *(Cell(format_rate(case, kind)) for kind in ("loader", "compute", "pipeline")),
        Cell(share),
    )
