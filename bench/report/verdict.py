"""The verdict of a run: in a few sentences what its tables decide, and never more than that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import backends
from bench.analysis.launches import TaskLaunches, group_by_task
from bench.records.record import Record
from bench.report.standings import Standings, find_standings
from bench.report.step_sentences import Outcome, choose_outcome, describe_steps, join_texts
from bench.report.tables.accuracy_table import compare_accuracies, compute_accuracy
from bench.report.tables.cost_tables import compute_wall_seconds
from bench.report.tables.number_format import format_seconds
from bench.report.tables.scaling_table import describe_scaling

#: How a division begins its first sentence.
PREFIXES = {
    "default": "At batch {batch}",
    "matched": "Matched, at batch {batch}",
    "tuned": "Tuned, at batch {batch}",
    "cached": "On cached features, at batch {batch}",
    "knobs": "With knobs set, at batch {batch}",
}
OFFLINE = "These are figures of the offline suite, not of the task that was chosen."


@dataclass(frozen=True)
class TaskVerdict:
    """The verdict on one task in one division.

    Attributes:
        task: its name.
        division: of its cases.
        outcome: what the training steps decide.
        sentences: plain text; the first one is the answer.
    """

    task: str
    division: str
    outcome: Outcome
    sentences: tuple[str, ...]

    @property
    def text(self) -> str:
        """All sentences in one line."""
        return " ".join(self.sentences)


@dataclass(frozen=True)
class Verdict:
    """The verdict on a run; `caution` concerns all its tasks."""

    tasks: tuple[TaskVerdict, ...]
    caution: str | None = None

    @property
    def text(self) -> str:
        """All verdicts as plain text: one line a task, with its name where there are several, and the caution."""
        lines = [one.text if len(self.tasks) == 1 else f"{one.task}: {one.text}" for one in self.tasks]
        return "\n".join([*lines, *([self.caution] if self.caution else [])])

    def __str__(self) -> str:
        return self.text


def build_verdict(records: Sequence[Record], relative_to: str = "pytorch", banner: str | None = None) -> Verdict:
    """Build the verdict from the decisions that the tables of the same records make.

    Args:
        records: of one run.
        relative_to: see `TaskLaunches.reference`.
        banner: of a run that fell back to the offline suite; None without a fallback.
    """
    tasks = group_by_task(records)
    scaling = dict(describe_scaling(records))
    verdicts = tuple(_judge_task(task, relative_to, scaling) for task in tasks)
    return Verdict(verdicts, OFFLINE if banner and tasks else None)


def _judge_task(task: TaskLaunches, relative_to: str, scaling: Mapping[str, str]) -> TaskVerdict:
    standings = find_standings(task, relative_to)
    names = _name_cases(task)
    prefix = PREFIXES[task.division].format(batch=task.task.batch_size)
    outcome = choose_outcome(standings)
    sentences = (
        *describe_steps(standings, outcome, names, prefix),
        *_describe_compute(task, relative_to, standings, outcome, names),
        *(scaling[case.first.case] for case in task.cases if case.first.case in scaling),
        *_describe_accuracy(task, standings, names),
        *_describe_fine_tune(task, standings, outcome, names),
        *_describe_absent(task, standings, names),
    )
    return TaskVerdict(task.task.name, task.division, outcome, tuple(sentences))


def _name_cases(task: TaskLaunches) -> dict[str, str]:
    """Name each case by its framework where that is clear, and by its label where a backend has several cases."""
    counts = [case.first.backend for case in task.cases]
    return {
        case.label: backends.get_title(case.first.backend) if counts.count(case.first.backend) == 1 else case.label
        for case in task.cases
    }


def _describe_compute(
    task: TaskLaunches, relative_to: str, standings: Standings, outcome: Outcome, names: dict[str, str]
) -> Iterator[str]:
    """Say so if another case is certainly the fastest where steps do without the input pipeline."""
    leaders = find_standings(task, relative_to, "compute").leaders
    if len(leaders) == 1 and leaders[0] not in standings.leaders and outcome != "one case":
        yield f"Without the input pipeline {names[leaders[0].label]} is the fastest."


def _describe_accuracy(task: TaskLaunches, standings: Standings, names: dict[str, str]) -> Iterator[str]:
    if task.task.weights == "random":
        yield "The weights are random: no accuracy."
        return
    cases = [case for case in task.cases if standings.has(case)]
    percents = {case.label: f"{100 * one.estimate:.1f}" for case in cases if (one := compute_accuracy(case))}
    if not percents:
        return
    pairs = [pair for pair in compare_accuracies(task) if {pair.one.label, pair.other.label} <= percents.keys()]
    certain = [f"{names[pair.one.label]}–{names[pair.other.label]}" for pair in pairs if pair.is_certain]
    if len(set(percents.values())) == 1 and not certain:
        who = f"{join_texts([names[label] for label in percents])} reach{'es' if len(percents) == 1 else ''}"
        if len(percents) == len(task.cases):
            who = {1: who, 2: "Both reach"}.get(len(percents), "All reach")
        yield f"{who} {next(iter(percents.values()))} % test accuracy."
        return
    figures = ", ".join(f"{names[label]} {percent}" for label, percent in percents.items())
    found = f"; certain differences: {', '.join(certain)}" if certain else "; no difference found" if pairs else ""
    yield f"Test accuracy: {figures} %{found}."


def _describe_fine_tune(
    task: TaskLaunches, standings: Standings, outcome: Outcome, names: dict[str, str]
) -> Iterator[str]:
    """Give the seconds that a person waits for a whole fine-tune, and say so if steps and fine-tune disagree."""
    cases = [case for case in task.cases if standings.has(case)]
    seconds = {case.label: wall for case in cases if (wall := compute_wall_seconds(case)) is not None}
    if not seconds:
        return
    texts = {label: format_seconds(wall) for label, wall in seconds.items()}
    hits = [one.features.hit for case in cases for one in case.finished if one.fine_tunes and one.features]
    source = " with the extraction" if hits and not any(hits) else " with features from the cache" if hits else ""
    yield f"Whole fine-tune{source}: {', '.join(f'{names[label]} {text}' for label, text in texts.items())} s."
    leaders = {case.label for case in standings.leaders}
    first = min(seconds, key=seconds.__getitem__)
    if leaders & seconds.keys() and all(texts[label] != texts[first] for label in leaders & seconds.keys()):
        counts = {len(case.fine_tunes) for case in cases if case.label in seconds}
        count = "one fine-tune each" if counts == {1} else "few fine-tunes"
        yield f"There {names[first]} was first, though its steps are slower ({count}: not certain)."


def _describe_absent(task: TaskLaunches, standings: Standings, names: dict[str, str]) -> Iterator[str]:
    """Name the cases that may not be compared, and those that died, with the reasons."""
    for case, reason in standings.excluded:
        yield f"{names[case.label]} is not comparable: {reason}."
    for case in task.cases:
        failures = [record.failure for record in case.failed if record.failure]
        if failures:
            what = "died" if not case.finished else f"lost {len(failures)} of {len(case.records)} launches"
            yield f"{names[case.label]} {what} in {failures[0].phase}: {failures[0].reason.rstrip('.')}."
