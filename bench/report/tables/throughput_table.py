"""The throughput table: images per second, and their ratios to the reference's."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis.launches import CaseLaunches, Kind, TaskLaunches
from bench.plan.variants import get_knob_settings, is_tuned
from bench.report.tables.comparisons import SIGNIFICANT, Comparisons
from bench.report.tables.decoding_notes import list_decoding_notes
from bench.report.tables.number_format import format_rate, format_ratio
from bench.report.tables.table import Cell, Column, Table
from bench.report.tables.warning_notes import list_warning_notes

KINDS: tuple[Kind, ...] = ("pipeline", "compute")


def build_throughput_table(task: TaskLaunches, relative_to: str) -> Table:
    """Build the table: one row per case. The fastest is bold if it is certainly faster than all comparable ones."""
    reference = task.reference(relative_to)
    comparisons = Comparisons(task, KINDS)
    best = {kind: find_best(task, kind, comparisons) for kind in KINDS}
    columns = [Column("case", figures=False)]
    for kind in KINDS:
        ratio = Column(f"{kind} ratio to {reference.label if reference else relative_to}")
        columns += [Column(f"{kind} images/s"), ratio]
    rows = []
    for case in task.cases:
        cells = [Cell(case.label)]
        for kind in KINDS:
            cells.append(Cell(format_rate(case, kind), bold=case is best[kind]))
            cells.append(Cell(_format_comparison(case, reference, kind, comparisons)))
        rows.append((*cells, Cell(_format_effort(case))))
    return Table(
        title=f"Throughput: {task.facts}",
        columns=(*columns, Column("launches × rounds")),
        rows=tuple(rows),
        notes=tuple(_notes(task, relative_to, reference, comparisons)),
    )


def find_best(task: TaskLaunches, kind: Kind, comparisons: Comparisons) -> CaseLaunches | None:
    """Find the fastest comparable case, if it is certainly faster than each of the others."""
    rates = [(case, case.throughput(kind)) for case in task.cases if case.why_not_comparable() is None]
    measured = [(rate.estimate, case) for case, rate in rates if rate]
    if len(measured) < 2:
        return None
    best = max(measured, key=lambda pair: pair[0])[1]
    others = [(case, best.ratio_to(case, kind)) for _, case in measured if case is not best]
    fastest = all(r is not None and r.estimate > 1 and comparisons.is_certain(best, case, kind) for case, r in others)
    same_experiment = all(case.why_not_comparable(best) is None for _, case in measured)
    return best if fastest and same_experiment else None


def _format_comparison(case: CaseLaunches, reference: CaseLaunches | None, kind: Kind, comparisons: Comparisons) -> str:
    if case.throughput(kind) is None:
        return "–"
    if reason := case.why_not_comparable(reference):
        return f"not comparable: {reason}"
    if reference is None:
        return "no reference"
    if case is reference:
        return "1"
    ratio = case.ratio_to(reference, kind)
    return "no common launch" if ratio is None else format_ratio(ratio, comparisons.is_certain(case, reference, kind))


def _format_effort(case: CaseLaunches) -> str:
    rounds = sorted({len(seconds) for kind in KINDS for seconds in case.seconds_per_image(kind).values()})
    if not rounds:
        return f"0 of {len(case.records)}"
    launches = f"{len(case.finished)} of {len(case.records)}" if case.failed else f"{len(case.finished)}"
    return f"{launches} × {'–'.join(str(n) for n in dict.fromkeys((rounds[0], rounds[-1])))}"


def _notes(
    task: TaskLaunches, relative_to: str, reference: CaseLaunches | None, comparisons: Comparisons
) -> Iterator[str]:
    measured = [case for case in task.cases if case.throughput("pipeline") or case.throughput("compute")]
    if measured:
        yield (
            "pipeline: training steps that include the framework's own input pipeline; compute: training steps on "
            "batches that are already on the device"
        )
    rates = [rate for case in measured for kind in KINDS if (rate := case.throughput(kind))]
    if any(rate.low is not None for rate in rates):
        yield (
            "[low–high]: 95 % interval; a ratio above 1 means faster; no difference found (± x %): the interval "
            "contains 1, and neither is more than x % faster; bold: certainly faster than every other comparable case"
        )
        if comparisons.count > 1:
            yield (
                f"certain: p < {SIGNIFICANT:g} after Holm's correction for the {comparisons.count} comparisons of this "
                "table (every pair of cases, in pipeline and in compute)"
            )
    if any(rate.low is None for rate in rates):
        yield (
            "fewer than three launches give no interval and no verdict; launches of one case differ by some per cent, "
            "so measure several"
        )
    for case in task.cases:
        if tuned := _describe_tuned(case):
            yield f"{case.label}: {tuned}"
        elif knobs := get_knob_settings(case.first.variant):
            yield f"{case.label}: {', '.join(f'{knob} {value}' for knob, value in knobs.items())}"
    yield from list_decoding_notes(task)
    if reference is None:
        yield f"no ratios, because no case of {relative_to} was measured"
    yield from list_warning_notes(task)


def _describe_tuned(case: CaseLaunches) -> str | None:
    """Return what `bench tune` found, and when, if the case is the tuned variant."""
    first = case.first
    if not is_tuned(first.variant):
        return None
    run = first.about.get("run")
    return run.get("tuned", {}).get(f"{first.backend} {first.task_hash}") if isinstance(run, dict) else None
