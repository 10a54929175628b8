"""The table of attribution: which part of a difference is the kernels', and which that of the layers above them.

The same numerical work runs through PyTorch, through TensorFlow's operations without a layer above them, through Keras'
layers in TensorFlow's own loop, and through Keras as a whole. Between neighbours one thing changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.analysis.launches import CaseLaunches, Kind, TaskLaunches
from bench.plan.variants import turned
from bench.report.tables.comparisons import SIGNIFICANT, Comparisons
from bench.report.tables.number_format import times
from bench.report.tables.table import Cell, Column, Table

KINDS: tuple[Kind, ...] = ("compute", "pipeline")
#: The cases: their backend, and the knobs that they turn.
KERNELS_OF_PYTORCH = ("pytorch", ())
OPERATIONS = ("tensorflow", (("graph", "tf_ops"),))
LAYERS = ("tensorflow", ())
WHOLE = ("keras", ())
Which = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Part:
    """A part of the whole difference: one case over another, and what changes between them."""

    name: str
    of: Which
    over: Which
    what: str


PARTS = (
    Part("the kernels", OPERATIONS, KERNELS_OF_PYTORCH, "TensorFlow's operations instead of PyTorch"),
    Part("the layers above them", LAYERS, OPERATIONS, "Keras' layers around TensorFlow's operations"),
    Part("the training loop", WHOLE, LAYERS, "Keras' `fit` and its input pipeline instead of TensorFlow's own"),
    Part("all together", WHOLE, KERNELS_OF_PYTORCH, "Keras instead of PyTorch"),
)


def attribution_table(tasks: Iterable[TaskLaunches]) -> Table | None:
    """One row for each part; None where one of its cases is not in the run.

    Args:
        tasks: one task in all its divisions, for its cases lie in two.
    """
    several = list(tasks)
    found: dict[Which, CaseLaunches] = {}
    for case in (case for task in several for case in task.cases):
        found.setdefault((case.first.backend, tuple(turned(case.first.variant).items())), case)
    cases = [found.get(which) for which in (KERNELS_OF_PYTORCH, OPERATIONS, LAYERS, WHOLE)]
    if any(case is None or not case.finished for case in cases):
        return None
    certain = Comparisons(TaskLaunches(tuple(case for case in cases if case)), KINDS)
    return Table(
        title=f"Attribution: {several[0].task.name}, batch size {several[0].task.batch_size}",
        columns=(
            Column("part", figures=False),
            Column("what changes", figures=False),
            *(Column(f"{kind} ×") for kind in KINDS),
        ),
        rows=tuple(
            (
                Cell(part.name),
                Cell(f"{part.what}: {found[part.of].label} over {found[part.over].label}"),
                *(Cell(_times(found[part.of], found[part.over], kind, certain)) for kind in KINDS),
            )
            for part in PARTS
        ),
        notes=(
            *(_in_words(kind, found, certain) for kind in KINDS),
            "×: how many times as fast a step is with the change as without it, by the launches that both have; the "
            "first three multiply to the last, as estimates. `compute` has no input pipeline, so its training loop is "
            "that of `train_on_batch`",
            f"a difference is certain where p < {SIGNIFICANT:g} after Holm's correction for the {certain.count} "
            "comparisons of these cases",
        ),
    )


def _in_words(kind: Kind, found: Mapping[Which, CaseLaunches], certain: Comparisons) -> str:
    """Which parts differ for certain, the largest first."""
    sizes = {}
    for part in PARTS[:-1]:
        case, over = found[part.of], found[part.over]
        compared = None if case.not_comparable(over) else case.faster_than(over, kind)
        if compared and certain.differ(case, over, kind):
            sizes[part.name] = compared.estimate
    ranked = sorted(sizes, key=lambda name: -abs(math.log(sizes[name])))
    if not ranked:
        return f"{kind}: no part differs for certain"
    return f"{kind}: the difference is {', then '.join(f'{name} (× {sizes[name]:.2f})' for name in ranked)}"


def _times(case: CaseLaunches, over: CaseLaunches, kind: Kind, certain: Comparisons) -> str:
    if reason := case.not_comparable(over):
        return f"not comparable: {reason}"
    compared = case.faster_than(over, kind)
    return "not measured" if compared is None else times(compared, certain.differ(case, over, kind))
