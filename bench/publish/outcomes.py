"""What a run decides about each of its tasks, in a few words."""

from __future__ import annotations

import backends
from bench.analysis.launches import TaskLaunches, group_by_task
from bench.publish.site_content import PublishedRun
from bench.report.standings import find_standings
from bench.report.step_sentences import join_texts
from bench.report.verdict import TaskVerdict


def describe_outcomes(run: PublishedRun) -> list[tuple[str, str]]:
    """Describe each task of a run: its name, and what the verdict decides about it, as `Keras fastest`."""
    tasks = group_by_task(run.records)
    return [
        (verdict.task, _describe_outcome(task, verdict, run.report.relative_to))
        for task, verdict in zip(tasks, run.verdict.tasks, strict=True)
    ]


def _describe_outcome(task: TaskLaunches, verdict: TaskVerdict, relative_to: str) -> str:
    match verdict.outcome:
        case "winner" | "shared lead":
            leaders = find_standings(task, relative_to).leaders
            backend_names = [case.first.backend for case in leaders]
            if len(set(backend_names)) < len(backend_names):
                return f"{join_texts([case.label for case in leaders])} fastest"
            return f"{join_texts([backends.get_title(name) for name in backend_names])} fastest"
        case "no difference":
            return "no difference found"
        case "one case":
            return "measured"
    return verdict.outcome
