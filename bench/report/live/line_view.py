"""The view of a run where lines stay, as in the log of a CI job: a line for each launch, with the ratios so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from bench.plan.plan import Plan
from bench.plan.prepared_task import PreparedTask
from bench.records.record import Record
from bench.records.round_kinds import KINDS
from bench.report.live.durations import format_duration
from bench.report.live.run_view import RunView
from bench.report.live.so_far import TaskSoFar, format_ratio_so_far
from bench.worker.channel import Message
from bench.worker.job import Job

#: The first launches of a task have a line each; of later ones every third has, and the last.
ALL_SHOWN, LATER_STEP = 8, 3


class LineView(RunView):
    """Prints a line per launch, and now and then one in a long phase."""

    def __init__(
        self,
        console: Console,
        plan: Plan,
        kinds: Sequence[str] = KINDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(plan, kinds, clock)
        self.console = console

    def start_launch(self, prepared: PreparedTask, launch: int, jobs: Sequence[Job]) -> None:
        """See `RunView.start_launch`; the first launch of a task has a line."""
        begins = prepared is not self.prepared
        super().start_launch(prepared, launch, jobs)
        if begins:
            self.print_line(f"{prepared.task.name}: {', '.join(self.labels.values())}")

    def on_event(self, case: str, message: Message) -> None:
        """See `RunView.on_event`."""
        super().on_event(case, message)
        label = self.labels.get(case, case)
        if line := self.activities.parts.describe_line(case, message):
            self.print_line(f"  {label}: {line}")
        if message["event"] == "died":
            self.print_line(f"  {label} died: {message['reason']}", style="red")

    def finish_launch(self, records: Sequence[Record]) -> None:
        """See `RunView.finish_launch`."""
        super().finish_launch(records)
        last = self.launch >= self.plan.suite.launches
        if self.launch <= ALL_SHOWN or last or (self.launch - ALL_SHOWN) % LATER_STEP == 0:
            left = self.time_left.estimate().left
            end = f"; about {format_duration(left)} left" if left and left > 1 else ""
            ratios = "; ".join(line for task in self.current if (line := describe_ratios(task)))
            self.print_line(f"  {self.title}: {ratios or 'no figures yet'}{end}")

    def print_line(self, line: str, style: str = "") -> None:
        """See `RunView.print_line`; it is not wrapped, because a log has its own width."""
        self.console.print(Text(line, style=style), soft_wrap=True, highlight=False)


def describe_ratios(task: TaskSoFar) -> str:
    """Describe the ratios so far, as in `tensorflow/default 2.33 [1.32–4.10] × pytorch/default`."""
    ratios = [f"{case.case} {format_ratio_so_far(case)}" for case in task.cases if case.case != task.reference]
    if not ratios:
        return ", ".join(
            f"{case.case} {case.throughput.estimate:,.0f} images/s" for case in task.cases if case.throughput
        )
    return f"{', '.join(ratios)}{f' × {task.reference}' if task.reference else ''}"
