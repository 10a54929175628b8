"""The attribution tables: which part of a difference comes from the kernels, the layers above them, or the loop.

In the first the same task is trained by PyTorch, by TensorFlow's operations without layers, by Keras' layers in
TensorFlow's own training loop, and by Keras as a whole. From each of these cases to the next, one thing changes. In the
second each framework that runs on another one, its engine, is compared with this engine alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from bench.analysis.launches import CaseLaunches, Kind, TaskLaunches
from bench.plan.variants import get_knob_settings
from bench.report.tables.comparisons import SIGNIFICANT, Comparisons
from bench.report.tables.number_format import TOO_FEW_LAUNCHES, format_ratio
from bench.report.tables.table import Cell, Column, Table

KINDS: tuple[Kind, ...] = ("compute", "pipeline")
#: The cases: their backend, and the knobs that they set.
CaseKey = tuple[str, tuple[tuple[str, str], ...]]
OPERATIONS: CaseKey = ("tensorflow", (("graph", "tf_ops"),))
PYTORCH: CaseKey = ("pytorch", ())
TENSORFLOW: CaseKey = ("tensorflow", ())
JAX: CaseKey = ("jax", ())
KERAS: CaseKey = ("keras", ())
KERAS_ON_JAX: CaseKey = ("keras-jax", ())
KERAS_ON_PYTORCH: CaseKey = ("keras-torch", ())
LIGHTNING: CaseKey = ("lightning", ())


@dataclass(frozen=True)
class Part:
    """A part of a difference: the ratio of one case to another, and what changes between them."""

    name: str
    case: CaseKey
    reference: CaseKey
    change: str


#: From PyTorch to Keras, one change after the other; and last all of them.
CHAIN = (
    Part("the kernels", OPERATIONS, PYTORCH, "TensorFlow's operations instead of PyTorch"),
    Part("the layers above them", TENSORFLOW, OPERATIONS, "Keras' layers around TensorFlow's operations"),
    Part("the training loop", KERAS, TENSORFLOW, "Keras' `fit` and its input pipeline instead of TensorFlow's own"),
    Part("all together", KERAS, PYTORCH, "Keras instead of PyTorch"),
)
#: What a framework costs on its engine; the first has the same cases as the chain's training loop.
ON_ENGINES = (
    Part("Keras on TensorFlow", KERAS, TENSORFLOW, "Keras' `fit` and its input pipeline instead of TensorFlow's own"),
    Part("Keras on JAX", KERAS_ON_JAX, JAX, "Keras' layers and `fit` instead of Flax and its guide's loop"),
    Part("Keras on PyTorch", KERAS_ON_PYTORCH, PYTORCH, "Keras' layers and `fit` instead of PyTorch's own"),
    Part("Lightning", LIGHTNING, PYTORCH, "Lightning's `Trainer.fit` instead of a plain loop"),
)


def build_attribution_tables(tasks: Iterable[TaskLaunches]) -> list[Table]:
    """Build both tables; the one whose cases did not finish, or are not in the run, is left out.

    Args:
        tasks: one task in all its divisions, because its cases are in two of them.
    """
    divisions = list(tasks)
    found: dict[CaseKey, CaseLaunches] = {}
    for case in (case for task in divisions for case in task.cases):
        if case.finished:
            found.setdefault((case.first.backend, tuple(get_knob_settings(case.first.variant).items())), case)
    task = f"{divisions[0].task.name}, batch size {divisions[0].task.batch_size}"
    made = []
    if all(part.case in found and part.reference in found for part in CHAIN):
        first = (
            "ratio: speed of a step with the change over speed without it, from the launches that both have; above 1 "
            "means faster; the first three estimates multiply to the last one"
        )
        made.append(_build_table(f"Attribution: {task}", "part", CHAIN, CHAIN[:-1], found, (first,)))
    parts = [part for part in ON_ENGINES if part.case in found and part.reference in found]
    if any(part not in ON_ENGINES[:1] for part in parts):  # the first alone says what the chain and the ratios say
        left_out = [part.name for part in ON_ENGINES if part not in parts]
        notes = [
            "ratio: speed of a step with the framework over speed of its engine alone, from the launches that both "
            "have; below 1 the framework costs time"
        ]
        notes += [f"left out, because a case did not finish or is not in this run: {', '.join(left_out)}"] * any(
            left_out
        )
        made.append(_build_table(f"Frameworks on their engines: {task}", "framework", parts, parts, found, notes))
    return made


def _build_table(
    title: str,
    what: str,
    parts: Sequence[Part],
    summarised: Sequence[Part],
    found: Mapping[CaseKey, CaseLaunches],
    notes: Iterable[str],
) -> Table:
    """Build a table of one row for each part."""
    cases = dict.fromkeys(key for part in parts for key in (part.reference, part.case))
    comparisons = Comparisons(TaskLaunches(tuple(found[key] for key in cases)), KINDS)
    return Table(
        title=title,
        columns=(
            Column(what, figures=False),
            Column("what changes", figures=False),
            *(Column(f"{kind} ratio") for kind in KINDS),
        ),
        rows=tuple(
            (
                Cell(part.name),
                Cell(f"{part.change}: {found[part.case].label} over {found[part.reference].label}"),
                *(Cell(_compare(found[part.case], found[part.reference], kind, comparisons)) for kind in KINDS),
            )
            for part in parts
        ),
        notes=(
            *(_summarise(kind, what, summarised, found, comparisons) for kind in KINDS),
            *notes,
            "`compute` has no input pipeline, so Keras' training loop in it is that of `train_on_batch`",
            f"certain: p < {SIGNIFICANT:g} after Holm's correction for the {comparisons.count} comparisons of these "
            "cases",
        ),
    )


def _summarise(
    kind: Kind, what: str, parts: Sequence[Part], found: Mapping[CaseKey, CaseLaunches], comparisons: Comparisons
) -> str:
    """List the parts whose difference is certain, the largest first."""
    ratios = {}
    measured = []
    for part in parts:
        case, reference = found[part.case], found[part.reference]
        ratio = None if case.why_not_comparable(reference) else case.ratio_to(reference, kind)
        measured += [ratio] if ratio else []
        if ratio and comparisons.is_certain(case, reference, kind):
            ratios[part.name] = ratio.estimate
    ranked = sorted(ratios, key=lambda name: -abs(math.log(ratios[name])))
    if measured and all(ratio.low is None for ratio in measured):
        return f"{kind}: {TOO_FEW_LAUNCHES}"
    if not ranked:
        return f"{kind}: the difference of no {what} is certain"
    named = [f"{name} (× {ratios[name]:.2f})" for name in ranked]
    if what == "part":
        return f"{kind}: the difference comes from {', then from '.join(named)}"
    return f"{kind}: the difference is certain for {', '.join(named)}"


def _compare(case: CaseLaunches, reference: CaseLaunches, kind: Kind, comparisons: Comparisons) -> str:
    if reason := case.why_not_comparable(reference):
        return f"not comparable: {reason}"
    ratio = case.ratio_to(reference, kind)
    return "not measured" if ratio is None else format_ratio(ratio, comparisons.is_certain(case, reference, kind))
