"""What is shown of a run while it measures: the part that all its forms share."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Self

from bench.analysis.launches import find_widest_half_width, group_by_task
from bench.plan.plan import Plan
from bench.plan.prepared_task import PreparedTask
from bench.records.record import Record
from bench.records.round_kinds import KINDS
from bench.report.live.activities import Activities
from bench.report.live.so_far import TaskSoFar, sum_up
from bench.report.live.time_left import TimeLeft
from bench.worker.channel import Message
from bench.worker.job import Job


class RunView:
    """A `bench.measure.run.RunWatcher` that shows nothing; its subclasses do.

    Attributes:
        labels: the names of the present launch's cases, `backend/variant`, by their ids.
        title: the task, and which of its launches is under way.
    """

    def __init__(self, plan: Plan, kinds: Sequence[str] = KINDS, clock: Callable[[], float] = time.monotonic) -> None:
        """Show a plan in which each case has rounds of these `kinds`."""
        self.plan, self.clock = plan, clock
        self.activities = Activities(clock)
        self.time_left = TimeLeft(plan, kinds, clock)
        self.labels: dict[str, str] = {}
        self.title = ""
        self.launch = 0
        self.prepared: PreparedTask | None = None
        self.so_far: list[TaskSoFar] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start_launch(self, prepared: PreparedTask, launch: int, jobs: Sequence[Job]) -> None:
        """See `bench.measure.run.RunWatcher.start_launch`."""
        self.prepared, self.launch = prepared, launch
        self.labels = {job.case: job.label for job in jobs}
        suite = self.plan.suite
        most = " at most" if suite.most_minutes else ""
        self.title = f"launch {launch}" + (f" of{most} {suite.launches}" if launch <= suite.launches else "")
        self.activities.start_launch(self.labels)
        self.time_left.start_launch(prepared, launch, jobs)

    def on_event(self, case: str, message: Message) -> None:
        """See `bench.measure.conductor.Watcher.on_event`."""
        self.activities.note_event(case, message)
        self.time_left.note_event(case, message)

    def on_round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """See `bench.measure.conductor.Watcher.on_round`."""
        self.activities.note_round(case, kind, number, of, images_per_second)
        self.time_left.note_round(case, kind, number, of, images_per_second)

    def finish_launch(self, records: Sequence[Record]) -> None:
        """A launch is over; `records` are all of the run until now."""
        self.so_far = sum_up(records, self.plan.relative_to)
        self.time_left.end_launch(self._count_launches_wanted(records))

    def print_line(self, line: str) -> None:
        """Print a line that stays."""

    @property
    def current(self) -> list[TaskSoFar]:
        """The results so far of the task that is measured now, by division."""
        position = next((at for at, task in enumerate(self.plan.tasks) if task is self.prepared), 0)
        return [task for task in self.so_far if task.position == position]

    def _count_launches_wanted(self, records: Sequence[Record]) -> int:
        """About how many further launches `--until` takes: a half-width falls with the root of their number."""
        if self.plan.until is None or not records:
            return 0
        position = max(record.position for record in records)
        of_task = [record for record in records if record.position == position]
        done = len({record.launch for record in of_task})
        widths = (find_widest_half_width(task, self.plan.relative_to) for task in group_by_task(of_task))
        widest = max((width for width in widths if width is not None), default=0.0)
        return round(min(100.0, done * (widest / self.plan.until) ** 2)) - done if widest > self.plan.until else 0
