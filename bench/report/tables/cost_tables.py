"""The cost tables: the wall time of the whole fine-tune in parts, and how much of loading is hidden."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import median

from bench.analysis.costs import Costs, costs, hidden
from bench.analysis.launches import CaseLaunches, Kind, TaskLaunches
from bench.report.tables.number_format import rate
from bench.report.tables.table import Cell, Column, Table

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


def cost_table(task: TaskLaunches) -> Table:
    """One row per case: seconds and shares of the wall time, as medians over the launches that fine-tuned."""
    parts = {name: part for name, part in PARTS.items() if name != "extraction" or task.division == "cached"}
    return Table(
        title=f"Costs of the whole fine-tune: {task.name}",
        columns=(Column("case", figures=False), Column("wall s"), *(Column(f"{name} s") for name in parts)),
        rows=tuple(_row(case, parts) for case in task.cases),
        notes=(
            "seconds, and their share of the wall time from the start of the process to the end of the evaluation; "
            "first step: with trace and compilation; input pipeline: what a step takes longer with it; rest: the "
            "process' start, the harness, reading images and checkpoint, and closing the input pipeline",
        ),
    )


def loading_table(task: TaskLaunches) -> Table:
    """One row per case: the input pipeline alone, compute alone, both, and what of loading is hidden."""
    return Table(
        title=f"Loading: {task.name}",
        columns=(
            Column("case", figures=False),
            Column("loader images/s"),
            Column("compute images/s"),
            Column("pipeline images/s"),
            Column("loading hidden by compute"),
        ),
        rows=tuple(_loading(case) for case in task.cases),
        notes=(
            "loader: the input pipeline alone; pipeline: both; hidden: what a step takes less than loading and compute "
            "one after the other, over loading (0 % also where noise is larger than loading)",
        ),
    )


def _row(case: CaseLaunches, parts: Mapping[str, str]) -> tuple[Cell, ...]:
    share = _compute_share(case)
    tunes = [(record, tune) for record in case.finished for tune in record.fine_tunes]
    found = [spent for record, tune in tunes if share is not None and (spent := costs(record, tune, share))]
    if not found:
        return (Cell(case.label), Cell(case.absence), *(Cell("–") for _ in parts))
    wall = median(spent.wall for spent in found)
    return (Cell(case.label), Cell(f"{wall:,.1f}"), *(Cell(_part(found, field)) for field in parts.values()))


def _compute_share(case: CaseLaunches) -> float | None:
    """See `costs`; on cached features there is no input pipeline."""
    if case.first.variant.features == "cached":
        return 1.0
    both, compute = (_per_image(case, kind) for kind in ("pipeline", "compute"))
    return min(1.0, compute / both) if both and compute else None


def _per_image(case: CaseLaunches, kind: Kind) -> float | None:
    """Seconds per image."""
    found = case.throughput(kind)
    return 1 / found.estimate if found else None


def _part(found: list[Costs], field: str) -> str:
    seconds = median(getattr(spent, field) for spent in found)
    share = median(getattr(spent, field) / spent.wall for spent in found)
    return f"{seconds:,.1f} ({share:.0%})"


def _loading(case: CaseLaunches) -> tuple[Cell, ...]:
    loading, compute, both = (_per_image(case, kind) for kind in ("loader", "compute", "pipeline"))
    share = f"{hidden(loading, compute, both):.0%}" if loading and compute and both else "–"
    return (
        Cell(case.label),
        *(Cell(rate(case, kind)) for kind in ("loader", "compute", "pipeline")),
        Cell(share),
    )
