"""The summary table: of each case of a task what matters most, in 80 columns."""

from __future__ import annotations

from collections.abc import Mapping

from bench.analysis.launches import CaseLaunches, TaskLaunches
from bench.analysis.statistics import Interval
from bench.plan.task_table import TASKS
from bench.records.units import MB
from bench.report.tables.accuracy_table import compute_accuracy
from bench.report.tables.comparisons import Comparisons, Decision, decide
from bench.report.tables.cost_tables import compute_wall_seconds
from bench.report.tables.decoding_notes import list_decoding_notes
from bench.report.tables.memory_tables import find_device_peak, find_host_peak
from bench.report.tables.number_format import format_bound, format_seconds, format_times
from bench.report.tables.table import Cell, Column, Table
from bench.report.tables.throughput_table import KINDS, find_best

#: How the decision about a ratio is shown, where it is not certain.
LEGEND: Mapping[Decision, str] = {
    "not certain": "a ratio with ? is not certain: of several comparisons one may be chance; more launches decide",
    "no difference": "≈ 1 (± x %): no difference found, and one above x % is excluded",
    "too few launches": "a ratio with few has not enough launches to tell",
}


def build_summary_table(task: TaskLaunches, relative_to: str) -> Table:
    """Build the table, one row per case: throughput with the input pipeline, ratio, memory, accuracy and wall time.

    Columns without any figure are left out.
    """
    reference = task.reference(relative_to)
    comparisons = Comparisons(task, KINDS)
    best = find_best(task, "pipeline", comparisons)
    ratios = {case.label: ratio for case in task.cases if (ratio := _find_ratio(case, reference))}
    decisions = {
        case.label: decide(ratios[case.label], comparisons.is_certain(case, reference, "pipeline"))
        for case in task.cases
        if reference and case.label in ratios
    }
    on_gpu = any(find_device_peak(case) is not None for case in task.cases)
    measure_memory = find_device_peak if on_gpu else find_host_peak
    columns = {
        "images/s": [_format_rate(case) for case in task.cases],
        f"ratio to {reference.label if reference else relative_to}": [
            _format_ratio(case, reference, ratios.get(case.label), decisions.get(case.label)) for case in task.cases
        ],
        f"{'device' if on_gpu else 'host'} MB": [_format(measure_memory(case), ",.0f", MB) for case in task.cases],
        "accuracy %": [
            _format(accuracy.estimate if accuracy else None, ".1f", 0.01)
            for accuracy in map(compute_accuracy, task.cases)
        ],
        "wall s": [
            "–" if (wall := compute_wall_seconds(case)) is None else format_seconds(wall) for case in task.cases
        ],
    }
    shown = {name: texts for name, texts in columns.items() if name == "images/s" or set(texts) - {"–", "1"}}
    bold = {case.label for case in task.cases if case is best}
    return Table(
        title=_describe_task(task),
        columns=(Column("case", figures=False), *(Column(name) for name in shown)),
        rows=tuple(
            (
                Cell(case.label),
                *(Cell(texts[row], bold=name == "images/s" and case.label in bold) for name, texts in shown.items()),
            )
            for row, case in enumerate(task.cases)
        ),
        notes=(
            *(text for decision, text in LEGEND.items() if decision in decisions.values()),
            *list_decoding_notes(task),
        ),
    )


def _describe_task(task: TaskLaunches) -> str:
    """Describe the task in one line: what figures depend on most, and the backbone if it is not that of the table."""
    own = TASKS.get(task.task.name)
    backbone = "" if own and own.backbone == task.task.backbone else f"{task.task.backbone}, "
    suffix = "" if task.division == "default" else f", division {task.division}"
    weights = ", random weights" if task.task.weights == "random" else ""
    facts = f"{backbone}batch {task.task.batch_size}, {task.task.image_size} px, {task.task.dataset}{weights}"
    return f"{task.task.name}{suffix}: {facts}"


def _format_rate(case: CaseLaunches) -> str:
    rate = case.throughput("pipeline")
    if rate is None:
        return case.placeholder
    return f"{rate.estimate:,.0f}" if rate.estimate >= 10 else f"{rate.estimate:.2f}"


def _find_ratio(case: CaseLaunches, reference: CaseLaunches | None) -> Interval | None:
    """Find the ratio of a case that may be compared with the reference; None for any other."""
    if reference is None or case is reference or case.why_not_comparable(reference):
        return None
    return case.ratio_to(reference, "pipeline")


def _format_ratio(
    case: CaseLaunches, reference: CaseLaunches | None, ratio: Interval | None, decision: Decision | None
) -> str:
    if case.throughput("pipeline") is None or reference is None:
        return "–"
    if case.why_not_comparable(reference):
        return "not comparable"
    if ratio is None:
        return "1" if case is reference else "–"
    match decision:
        case "too few launches":
            return f"{format_times(ratio)} few"
        case "no difference":
            return f"≈ 1 (± {format_bound(ratio)} %)"
        case "not certain":
            return f"{format_times(ratio)}?"
    return format_times(ratio)


def _format(figure: float | None, form: str, unit: float = 1.0) -> str:
    return "–" if figure is None else format(figure / unit, form)
