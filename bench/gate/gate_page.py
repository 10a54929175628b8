"""The page of a gate: the verdict first, what got worse first, and what did not change folded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from bench.gate.decision import DECISION_POINTS, Decision, Verdict
from bench.gate.gate_figures import build_change_plot, build_closing_plot, describe_metric_verdict, list_worst_first
from bench.gate.gate_report import describe_change, describe_verdict
from bench.gate.judgement import WORST_FIRST, Judgement
from bench.gate.stored_gate import StoredGate
from bench.records.launch_figures import LaunchFigures
from bench.report.html.environment_blocks import describe_facts
from bench.report.html.page import Block, Folded, Heading, Notice, Page, Section, Text
from bench.report.html.result_page import build_closing, build_environment_section, fit_page, format_command
from bench.report.tables.table import Cell, Column, Table

#: The verdicts that the reader has to do something about.
NOT_PASSED = (Verdict.SLOWER, Verdict.UNDECIDED, Verdict.OPEN)
#: The verdicts whose metrics are folded, with what is said about them.
FOLDED = {
    Verdict.PASS: "no change that matters",
    Verdict.OPEN: "no verdict, because the case was decided without it",
}
#: Digits of seconds and bytes in the table of all launches.
DIGITS = 6


def build_gate_page(gate: StoredGate) -> Page:
    """Build the page of a gate; of a very large one without plots of unchanged metrics and without every launch."""
    return fit_page(lambda full: _build_page(gate, full))


def _build_page(gate: StoredGate, full: bool) -> Page:
    ordered = sorted(gate.cases, key=lambda one: WORST_FIRST.index(one.verdict))
    plot = build_change_plot(ordered, gate.margins)
    notices = tuple(
        Notice(one.case, warning.name, f"{warning.evidence}.", warning.advice)
        for one in ordered
        for warning in one.warnings
    )
    return Page(
        title=f"Gate against {gate.against}",
        facts=describe_facts(f"Gate of the working tree against {gate.against}", gate.started, gate.about),
        verdict=tuple(_list_sentences(gate, ordered)),
        opening=(*([plot] if plot else []), *notices),
        sections=(
            Section("What changed", tuple(_build_changes(gate, ordered, full))),
            Section("All figures", tuple(_build_figures(gate, ordered, full))),
            build_environment_section(gate.about),
        ),
        command=format_command(gate.about),
        closing=tuple(build_closing(gate.about)),
    )


def _list_sentences(gate: StoredGate, ordered: Sequence[Judgement]) -> Iterator[str]:
    """The answer, then a sentence for each case that did not pass, and the number of those that did."""
    verdicts = {one.verdict for one in ordered}
    count = sum(one.verdict is Verdict.SLOWER for one in ordered)
    if count:
        yield f"Worse than {gate.against}{f' in {count} of {len(ordered)} cases' if len(ordered) > 1 else ''}."
    elif verdicts & set(NOT_PASSED):
        yield f"Undecided: it is not certain whether anything is worse than in {gate.against}."
    else:
        yield f"Passed: nothing that matters is worse than in {gate.against}."
    for one in ordered:
        if one.verdict in (*NOT_PASSED, Verdict.FASTER):
            yield f"{describe_verdict(one)}."
    if passed := sum(one.verdict is Verdict.PASS for one in ordered):
        yield f"{passed} of {len(ordered)} case{'s' if len(ordered) > 1 else ''}: no change that matters."
    if gate.stopped:
        yield f"The gate ended before all cases were judged: {gate.stopped}."


def _build_changes(gate: StoredGate, ordered: Sequence[Judgement], full: bool) -> Iterator[Block]:
    """A block for each metric that is worse or undecided, then what is better, and what is unchanged folded."""
    for one in ordered:
        for line in one.failures:
            yield Notice(one.case, "failed", f"{line}.")
    found = list_worst_first(ordered)
    changed = [each for each in found if each[2].verdict not in FOLDED]
    if not changed and not any(one.failures for one in ordered):
        yield Text("No metric of any case has changed by as much as its margin.")
    for each in changed:
        yield from _build_metric(gate, *each)
    for note in gate.notes:
        yield Text(note, "quiet")
    for verdict, what in FOLDED.items() if full else ():
        folded = [each for each in found if each[2].verdict is verdict]
        if folded:
            blocks = tuple(block for each in folded for block in _build_metric(gate, *each))
            yield Folded(f"{len(folded)} metric{'s' if len(folded) > 1 else ''}: {what}", blocks)


def _build_metric(gate: StoredGate, one: Judgement, name: str, decision: Decision) -> Iterator[Block]:
    yield Heading(f"{one.case}: {name}")
    margin = gate.margins[name]
    launches = "launch pairs" if one.paired else "launches"
    yield Text(
        f"{describe_metric_verdict(decision)}: {describe_change(name, decision)}, margin {100 * margin:g} %, after "
        f"{decision.launches} {launches}."
    )
    plot = build_closing_plot(one, name, margin)
    yield plot or Text(f"It has too few {launches} for an interval that can be drawn.", "quiet")


def _build_figures(gate: StoredGate, ordered: Sequence[Judgement], full: bool) -> Iterator[Block]:
    rows = [
        (
            Cell(one.case),
            Cell(name),
            Cell(describe_change(name, decision)),
            Cell(describe_metric_verdict(decision), bold=decision.verdict is Verdict.SLOWER),
            Cell(f"{100 * gate.margins[name]:g} %"),
            Cell(str(decision.launches)),
        )
        for one, name, decision in list_worst_first(ordered)
    ]
    yield Table(
        "All metrics, the worst first",
        (
            Column("case", figures=False),
            Column("metric", figures=False),
            Column("change", figures=False),
            Column("verdict", figures=False),
            Column("margin"),
            Column("launches"),
        ),
        tuple(rows),
        (
            f"a verdict can be reached after {', '.join(map(str, DECISION_POINTS))} launches",
            f"at most {100 * gate.alpha:g} % of the gates of unchanged code end worse",
        ),
    )
    for one in ordered if full else ():
        yield Folded(f"{one.case}: every launch", (_build_launch_table(one),))


def _build_launch_table(one: Judgement) -> Table:
    """The median of each metric in each launch of the base and the head."""
    names = list(one.decisions)
    rows = []
    for number in range(max(len(one.base), len(one.head))):
        cells = [Cell(str(number + 1))]
        for name in names:
            cells += [Cell(_format_median(arm, number, name)) for arm in (one.base, one.head)]
        rows.append(tuple(cells))
    return Table(
        f"{one.case}: medians",
        (
            Column("launch", figures=False),
            *(Column(f"{name}, {arm}") for name in names for arm in ("base", "head")),
        ),
        tuple(rows),
        ("seconds per step, seconds of the first step, and bytes of memory",),
    )


def _format_median(arm: Sequence[LaunchFigures], number: int, name: str) -> str:
    values = arm[number].values.get(name) if number < len(arm) else None
    return "–" if not values else f"{median(values):,.{DIGITS}g}"
