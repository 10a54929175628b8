"""What a comparison of runs means, in sentences: never more than its tables decide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.analysis.launches import Kind
from bench.compare.comparison_tables import format_multiple, format_ratio_within
from bench.compare.differences import list_differences
from bench.compare.run_comparison import CaseRow, RunComparison, TaskComparison
from bench.compare.stored_run import StoredRun
from bench.report.tables.number_format import TOO_FEW_LAUNCHES, format_ratio
from bench.report.verdict import build_verdict

#: The rounds that sentences are about: what a user trains with.
KIND: Kind = "pipeline"


NOT_INTERLEAVED = (
    "Nothing was interleaved: the runs were measured one after the other, and no interval contains what changed on a "
    "machine in between, which can be more than what is found here. bench gate --against compares two revisions side "
    "by side."
)
#: The most differences that a sentence names.
MOST_DIFFERENCES = 4


def describe_comparison(comparison: RunComparison) -> tuple[str, ...]:
    """Describe how each run compares with the first, what each concludes by itself, and what to keep in mind.

    Args:
        comparison: with at least one task; see `explain_nothing_in_common`.
    """
    sentences: list[str] = []
    for run in comparison.runs[1:]:
        for task in (task for task in comparison.tasks if run in task.runs):
            sentences += _describe_pair(task, run, len(comparison.tasks) > 1)
        sentences.append(_describe_differences(comparison.runs[0], run))
    sentences += [_describe_run(run, comparison) for run in comparison.runs]
    if comparison.left_out:
        sentences.append(f"Not compared: {'; '.join(comparison.left_out)}.")
    return (*sentences, NOT_INTERLEAVED)


def explain_nothing_in_common(comparison: RunComparison) -> str:
    """Say which tasks each run has, where no two can be compared, as the end of a line."""
    tasks = [dict.fromkeys(task.task.name for task in run.tasks) for run in comparison.runs]
    has = "; ".join(
        f"{run.letter}, {run.name}, has {', '.join(names)}" for run, names in zip(comparison.runs, tasks, strict=True)
    )
    # Tasks of one name differ in something.
    same_name = any(name in tasks[0] for names in tasks[1:] for name in names)
    differences = f" ({'; '.join(comparison.left_out)})" if same_name and comparison.left_out else ""
    return f"{has}{differences}"


def describe_ratios_by_run(runs: Sequence[StoredRun], relative_to: str | None = None) -> list[str]:
    """Describe what each run concludes by itself, one line a run and task."""
    return [
        f"{run.letter}, {run.machine}: {f'{task.task}: ' if len(run.tasks) > 1 else ''}{task.sentences[0]}"
        for run in runs
        for task in build_verdict(run.records, relative_to or run.relative_to).tasks
    ]


def _describe_run(run: StoredRun, comparison: RunComparison) -> str:
    """The answer of a run by itself, for the tasks that are compared."""
    names = {(task.task.task.name, task.task.division) for task in comparison.tasks if run in task.runs}
    verdict = build_verdict(run.records, run.relative_to)
    answers = [task.sentences[0] for task in verdict.tasks if (task.task, task.division) in names]
    return f"{run.letter} by itself: {' '.join(answers)}"


def _describe_differences(base: StoredRun, run: StoredRun) -> str:
    if not (base.fingerprint and run.fingerprint):
        return f"What else {base.letter} and {run.letter} differ in is not known."
    found = list_differences([base, run])
    if not found:
        return f"{base.letter} and {run.letter} differ in nothing else that is recorded."
    named = [f"{one.name} ({one.values[0]} → {one.values[1]})" for one in found[:MOST_DIFFERENCES]]
    more = f" and {len(found) - MOST_DIFFERENCES} more" if len(found) > MOST_DIFFERENCES else ""
    which = "" if len(found) == 1 else "; the figures do not say which of it is the cause"
    return f"{base.letter} and {run.letter} differ in {', '.join(named)}{more}{which}."


def _describe_pair(task: TaskComparison, run: StoredRun, with_task: bool) -> Iterator[str]:
    base = task.runs[0]
    prefix = f"{task.task.name}, {run.letter}" if with_task else run.letter
    rows = task.list_rows(KIND, run)
    if run.is_same_machine(base):
        yield f"{prefix} against {base.letter}, same machine: {_join_groups(_group(rows))}."
    else:
        yield f"{prefix} against {base.letter}, other machine: {_join_groups(_describe_rates(rows))}."
    if changes := [row for row in rows if row.change and row.change_certain]:
        ratios = "; ".join(_describe_change(task, row) for row in changes)
        yield f"The ratio between frameworks is another one in {run.letter}: {ratios}."
    elif known := [row for row in rows if row.change]:
        few = all(row.change and row.change.interval.low is None for row in known)
        found = TOO_FEW_LAUNCHES if few else "no certain difference was found"
        yield f"Of the ratios between frameworks in {base.letter} and {run.letter}: {found}."


def _group(rows: Sequence[CaseRow]) -> Iterator[str]:
    """Describe the cases by what is decided about them, certain changes first."""
    groups: dict[str, list[str]] = {}
    for row in rows:
        if row.over_base is None:
            reason = row.reason or "not measured"
            groups.setdefault(f"not compared ({reason})", []).append(row.case.label)
            continue
        text = format_ratio(row.over_base.interval, row.certain)
        if row.certain:
            word = "faster" if row.over_base.interval.estimate > 1 else "slower"
            groups.setdefault(word, []).append(f"{row.case.label} {text} times as fast")
        elif row.over_base.interval.low is None:
            groups.setdefault(TOO_FEW_LAUNCHES, []).append(row.case.label)
        elif row.over_base.interval.excludes(1):
            groups.setdefault("not certain", []).append(f"{row.case.label} {text.removesuffix(', not certain')}")
        else:
            reach = text[text.index("(") : -1].lstrip("(")
            groups.setdefault("no difference found", []).append(f"{row.case.label} ({reach})")
    order = ("slower", "faster", "not certain", "no difference found", TOO_FEW_LAUNCHES)
    for name in (*order, *(name for name in groups if name not in order)):
        if name in groups:
            yield f"{name}: {', '.join(groups[name])}"


def _describe_rates(rows: Sequence[CaseRow]) -> Iterator[str]:
    compared = [row for row in rows if row.over_base]
    if compared:
        rates = (f"{row.case.label} {format_multiple(row.over_base.interval)}" for row in compared if row.over_base)
        yield f"throughput is a multiple, whatever the reason: {', '.join(rates)}"
    for row in rows:
        if row.over_base is None:
            yield f"{row.case.label} not compared ({row.reason or 'not measured'})"


def _describe_change(task: TaskComparison, row: CaseRow) -> str:
    base = next(one for one in task.list_rows(KIND, task.runs[0]) if one.case.label == row.case.label)
    reference = row.reference.label if row.reference else task.relative_to
    return (
        f"{row.case.label} over {reference} is {format_ratio_within(base)} in {base.run.letter} and "
        f"{format_ratio_within(row)} in {row.run.letter}"
    )


def _join_groups(groups: Iterator[str]) -> str:
    return "; ".join(groups) or "no case in common"
