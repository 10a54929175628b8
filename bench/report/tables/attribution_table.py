"""The attribution table: which part of a difference comes from the kernels, the layers above them, or the loop.

The same task is trained by PyTorch, by TensorFlow's operations without layers, by Keras' layers in TensorFlow's own
training loop, and by Keras as a whole. From each of these cases to the next, one thing changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bench.analysis.launches import CaseLaunches, Kind, TaskLaunches
from bench.plan.variants import get_knob_settings
from bench.report.tables.comparisons import SIGNIFICANT, Comparisons
from bench.report.tables.number_format import TOO_FEW_LAUNCHES, format_ratio
from bench.report.tables.table import Cell, Column, Table

KINDS: tuple[Kind, ...] = ("compute", "pipeline")
#: The cases: their backend, and the knobs that they set.
KERNELS_OF_PYTORCH = ("pytorch", ())
OPERATIONS = ("tensorflow", (("graph", "tf_ops"),))
LAYERS = ("tensorflow", ())
WHOLE = ("keras", ())
CaseKey = tuple[str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Part:
    """A part of the whole difference: the ratio of one case to another, and what changes between them."""

    name: str
    case: CaseKey
    reference: CaseKey
    change: str


PARTS = (
    Part("the kernels", OPERATIONS, KERNELS_OF_PYTORCH, "TensorFlow's operations instead of PyTorch"),
    Part("the layers above them", LAYERS, OPERATIONS, "Keras' layers around TensorFlow's operations"),
    Part("the training loop", WHOLE, LAYERS, "Keras' `fit` and its input pipeline instead of TensorFlow's own"),
    Part("all together", WHOLE, KERNELS_OF_PYTORCH, "Keras instead of PyTorch"),
)


def build_attribution_table(tasks: Iterable[TaskLaunches]) -> Table | None:
    """Build the table: one row for each part; None if one of its cases did not finish or is not in the run.

    Args:
        tasks: one task in all its divisions, because its cases are in two of them.
    """
    divisions = list(tasks)
    found: dict[CaseKey, CaseLaunches] = {}
    for case in (case for task in divisions for case in task.cases):
        found.setdefault((case.first.backend, tuple(get_knob_settings(case.first.variant).items())), case)
    cases = [found.get(key) for key in (KERNELS_OF_PYTORCH, OPERATIONS, LAYERS, WHOLE)]
    if any(case is None or not case.finished for case in cases):
        return None
    comparisons = Comparisons(TaskLaunches(tuple(case for case in cases if case)), KINDS)
    return Table(
        title=f"Attribution: {divisions[0].task.name}, batch size {divisions[0].task.batch_size}",
        columns=(
            Column("part", figures=False),
            Column("what changes", figures=False),
            *(Column(f"{kind} ratio") for kind in KINDS),
        ),
        rows=tuple(
            (
                Cell(part.name),
                Cell(f"{part.change}: {found[part.case].label} over {found[part.reference].label}"),
                *(Cell(_compare(found[part.case], found[part.reference], kind, comparisons)) for kind in KINDS),
            )
            for part in PARTS
        ),
        notes=(
            *(_summarise(kind, found, comparisons) for kind in KINDS),
            "ratio: speed of a step with the change over speed without it, from the launches that both have; above 1 "
            "means faster; the first three estimates multiply to the last one",
            "`compute` has no input pipeline, so its training loop is that of `train_on_batch`",
            f"certain: p < {SIGNIFICANT:g} after Holm's correction for the {comparisons.count} comparisons of these "
            "cases",
        ),
    )


def _summarise(kind: Kind, found: Mapping[CaseKey, CaseLaunches], comparisons: Comparisons) -> str:
    """List the parts whose difference is certain, the largest first."""
    ratios = {}
    measured = []
    for part in PARTS[:-1]:
        case, reference = found[part.case], found[part.reference]
        ratio = None if case.why_not_comparable(reference) else case.ratio_to(reference, kind)
        measured += [ratio] if ratio else []
        if ratio and comparisons.is_certain(case, reference, kind):
            ratios[part.name] = ratio.estimate
    ranked = sorted(ratios, key=lambda name: -abs(math.log(ratios[name])))
    if measured and all(ratio.low is None for ratio in measured):
        return f"{kind}: {TOO_FEW_LAUNCHES}"
    if not ranked:
        return f"{kind}: the difference of no part is certain"
    return f"{kind}: the difference comes from {', then from '.join(f'{n} (× {ratios[n]:.2f})' for n in ranked)}"


def _compare(case: CaseLaunches, reference: CaseLaunches, kind: Kind, comparisons: Comparisons) -> str:
    if reason := case.why_not_comparable(reference):
        return f"not comparable: {reason}"
    ratio = case.ratio_to(reference, kind)
    return "not measured" if ratio is None else format_ratio(ratio, comparisons.is_certain(case, reference, kind))
