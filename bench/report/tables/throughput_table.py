"""The throughput table: images per second, and how many times the reference's."""

from __future__ import annotations

from collections.abc import Iterator

from bench.analysis.launches import CaseLaunches, Kind, TaskLaunches
from bench.plan.variants import turned
from bench.report.tables.comparisons import SIGNIFICANT, Comparisons
from bench.report.tables.number_format import rate, times
from bench.report.tables.table import Cell, Column, Table

KINDS: tuple[Kind, ...] = ("pipeline", "compute")


def throughput_table(task: TaskLaunches, relative_to: str) -> Table:
    """One row per case. The best is bold where it beats every other comparable case for certain."""
    reference = task.reference(relative_to)
    heading = f"× {reference.label if reference else relative_to}"
    certain = Comparisons(task, KINDS)
    best = {kind: _best(task, kind, certain) for kind in KINDS}
    columns = [Column("case", figures=False)]
    for kind in KINDS:
        columns += [Column(f"{kind} images/s"), Column(f"{kind} {heading}")]
    rows = []
    for case in task.cases:
        cells = [Cell(case.label)]
        for kind in KINDS:
            cells.append(Cell(rate(case, kind), bold=case is best[kind]))
            cells.append(Cell(_against(case, reference, kind, certain)))
        rows.append((*cells, Cell(_effort(case))))
    return Table(
        title=f"Throughput: {task.facts}",
        columns=(*columns, Column("launches × rounds")),
        rows=tuple(rows),
        notes=tuple(_notes(task, relative_to, reference, certain)),
    )


def _best(task: TaskLaunches, kind: Kind, certain: Comparisons) -> CaseLaunches | None:
    """The fastest comparable case, if it is faster than each of the others for certain."""
    rates = [(case, case.throughput(kind)) for case in task.cases if case.not_comparable() is None]
    measured = [(rate.estimate, case) for case, rate in rates if rate]
    if len(measured) < 2:
        return None
    best = max(measured, key=lambda pair: pair[0])[1]
    others = [(case, best.faster_than(case, kind)) for _, case in measured if case is not best]
    beaten = all(r is not None and r.estimate > 1 and certain.differ(best, case, kind) for case, r in others)
    same_experiment = all(case.not_comparable(best) is None for _, case in measured)
    return best if beaten and same_experiment else None


def _against(case: CaseLaunches, reference: CaseLaunches | None, kind: Kind, certain: Comparisons) -> str:
    if case.throughput(kind) is None:
        return "–"
    if reason := case.not_comparable(reference):
        return f"not comparable: {reason}"
    if reference is None:
        return "no reference"
    if case is reference:
        return "1"
    compared = case.faster_than(reference, kind)
    return "no launch in common" if compared is None else times(compared, certain.differ(case, reference, kind))


def _effort(case: CaseLaunches) -> str:
    rounds = sorted({len(seconds) for kind in KINDS for seconds in case.seconds_per_image(kind).values()})
    if not rounds:
        return f"0 of {len(case.records)}"
    launches = f"{len(case.finished)} of {len(case.records)}" if case.failed else f"{len(case.finished)}"
    return f"{launches} × {'–'.join(str(n) for n in dict.fromkeys((rounds[0], rounds[-1])))}"


def _notes(task: TaskLaunches, relative_to: str, reference: CaseLaunches | None, certain: Comparisons) -> Iterator[str]:
    measured = [case for case in task.cases if case.throughput("pipeline") or case.throughput("compute")]
    if measured:
        yield "pipeline: with the framework's own input pipeline; compute: batches already on the device"
    if any(len(case.seconds_per_image("pipeline")) > 1 for case in measured):
        yield (
            "[low–high]: 95 % interval; a ratio above 1 is faster; no difference found (± x %): "
            "its interval holds 1 and reaches x % from it; bold: faster than every other comparable case"
        )
        if certain.count > 1:
            yield (
                f"a difference is certain where p < {SIGNIFICANT:g} after Holm's correction for the {certain.count} "
                "comparisons of this table (every two cases, of each kind)"
            )
    if any(len(case.seconds_per_image(kind)) == 1 for case in measured for kind in KINDS):
        yield "one launch: no interval; starts of one case differ by some per cent, so measure more launches"
    for case in task.cases:
        if found := _found(case):
            yield f"{case.label}: {found}"
        elif knobs := turned(case.first.variant):
            yield f"{case.label}: {', '.join(f'{knob} {value}' for knob, value in knobs.items())}"
    if reference is None:
        yield f"no case of {relative_to} here: no ratios"
    yield from _doubts(task)


def _found(case: CaseLaunches) -> str | None:
    """What `bench tune` found, and when, where the case is that."""
    first = case.first
    if first.variant.name != "tuned":
        return None
    run = first.about.get("run")
    return run.get("tuned", {}).get(f"{first.backend} {first.task_hash}") if isinstance(run, dict) else None


def _doubts(task: TaskLaunches) -> Iterator[str]:
    """Each doubt once a case, with its first evidence and how many launches raised it."""
    for case in task.cases:
        for name in dict.fromkeys(doubt.name for record in case.records for doubt in record.warnings):
            raised = [(r.launch, doubt) for r in case.records for doubt in r.warnings if doubt.name == name]
            count = len({launch for launch, _ in raised})
            doubt = raised[0][1]
            where = f"{case.label}, {count} of {len(case.records)} launches"
            yield f"warning {name}, {where}: {doubt.evidence}: {doubt.advice}"
