"""The view of a run for a program: an event when a launch begins, when it is over, and when a worker dies."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from bench.plan.plan import Plan
from bench.plan.prepared_task import PreparedTask
from bench.records.record import Record
from bench.records.round_kinds import KINDS
from bench.report.live.json_events import JsonEvents, describe_interval
from bench.report.live.run_view import RunView
from bench.report.live.so_far import TaskSoFar
from bench.report.verdict import Verdict, build_verdict
from bench.worker.channel import Message
from bench.worker.job import Job


class JsonView(RunView):
    """Writes the events of a run."""

    def __init__(
        self,
        events: JsonEvents,
        plan: Plan,
        kinds: Sequence[str] = KINDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(plan, kinds, clock)
        self.events = events

    def start_launch(self, prepared: PreparedTask, launch: int, jobs: Sequence[Job]) -> None:
        """See `RunView.start_launch`."""
        super().start_launch(prepared, launch, jobs)
        self.events.emit(
            "launch-started",
            task=prepared.task.name,
            launch=launch,
            launches=self.plan.suite.launches,
            cases=list(self.labels.values()),
        )

    def on_event(self, case: str, message: Message) -> None:
        """See `RunView.on_event`."""
        super().on_event(case, message)
        if message["event"] == "died":
            self.events.emit("case-died", case=self.labels.get(case, case), reason=message["reason"])

    def finish_launch(self, records: Sequence[Record]) -> None:
        """See `RunView.finish_launch`."""
        super().finish_launch(records)
        estimate = self.time_left.estimate()
        self.events.emit(
            "launch-finished",
            task=self.prepared.task.name if self.prepared else None,
            launch=self.launch,
            launches=self.plan.suite.launches,
            results=[describe_results(task) for task in self.current],
            so_far=build_verdict(records, self.plan.relative_to, self.plan.banner).text,
            seconds_spent=round(estimate.spent, 1),
            seconds_left=None if estimate.left is None else round(estimate.left, 1),
        )
        for record in records:
            for warning in record.warnings:
                self.events.emit_warning(f"{record.backend}/{record.variant.name}", warning)


def describe_results(task: TaskSoFar) -> dict[str, object]:
    """Describe the results of a task as fields."""
    return {
        "task": task.task,
        "division": task.division,
        "launches": task.launches,
        "reference": task.reference,
        "cases": [
            {
                "case": case.case,
                "images_per_second": describe_interval(case.throughput),
                "ratio": describe_interval(case.ratio),
                "certain": case.certain,
                "note": case.note or None,
                "host_peak_bytes": case.host_peak,
                "device_peak_bytes": case.device_peak,
                "accuracy": case.accuracy,
            }
            for case in task.cases
        ],
    }


def describe_verdict(verdict: Verdict) -> dict[str, object]:
    """Describe a verdict as fields."""
    return {
        "text": verdict.text,
        "tasks": [
            {"task": one.task, "division": one.division, "outcome": one.outcome, "sentences": list(one.sentences)}
            for one in verdict.tasks
        ],
    }
