"""The view of a run on a terminal: a table of the results so far, what is measured now, and the time left."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.plan.plan import Plan
from bench.plan.prepared_task import PreparedTask
from bench.records.record import Record
from bench.records.round_kinds import KINDS
from bench.records.units import MB
from bench.report.live.durations import format_duration
from bench.report.live.run_view import RunView
from bench.report.live.so_far import CaseSoFar, format_ratio_so_far
from bench.report.live.terminal_block import TICK_SECONDS, TerminalBlock
from bench.report.verdict import Verdict, build_verdict
from bench.worker.channel import Message
from bench.worker.job import Job

#: Lines of the view beside the rows of its table and the verdict: title, bar, activity, two empty lines, the table's
#: head with its rule, and the line on which the cursor rests.
FRAME_LINES = 8
#: The verdict has at least so many lines, also where the terminal is low.
MIN_VERDICT_LINES = 2


class TerminalView(RunView):
    """Redraws the whole picture after each launch; in between, only activity and time change."""

    def __init__(
        self,
        console: Console,
        plan: Plan,
        kinds: Sequence[str] = KINDS,
        clock: Callable[[], float] = time.monotonic,
        tick: float = TICK_SECONDS,
    ) -> None:
        super().__init__(plan, kinds, clock)
        self.console = console
        self.block = TerminalBlock(console, self.render, tick)
        self.verdict: Verdict | None = None

    def __enter__(self) -> TerminalView:
        self.block.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.block.__exit__()

    def start_launch(self, prepared: PreparedTask, launch: int, jobs: Sequence[Job]) -> None:
        """See `RunView.start_launch`."""
        super().start_launch(prepared, launch, jobs)
        self.block.draw()

    def on_event(self, case: str, message: Message) -> None:
        """See `RunView.on_event`; a death stays on the screen."""
        super().on_event(case, message)
        if message["event"] == "died":
            label = self.labels.get(case, case)
            self.block.print(Text(f"{label} died: {message['reason']}", style="red"))

    def finish_launch(self, records: Sequence[Record]) -> None:
        """See `RunView.finish_launch`."""
        super().finish_launch(records)
        self.verdict = build_verdict(records, self.plan.relative_to, self.plan.banner)
        self.block.draw()

    def print_line(self, line: str) -> None:
        """See `RunView.print_line`."""
        self.block.print(Text(line))

    def render(self) -> RenderableType:
        """The picture, at most as high as the terminal."""
        name = self.prepared.task.name if self.prepared else ""
        head = Text(f"{name}, {self.title}" if name else "preparing", style="bold", no_wrap=True, overflow="ellipsis")
        cases = [case for task in self.current for case in task.cases]
        activity = Text(f"now: {self.activities.describe_now() or '–'}", no_wrap=True, overflow="ellipsis", style="dim")
        if not cases:
            count = len(self.activities.describe_cases())
            return Group(head, self._render_time(), "", self._render_activities(), self._render_verdict(count))
        return Group(
            head, self._render_time(), activity, "", self._render_results(cases), self._render_verdict(len(cases))
        )

    def _render_time(self) -> RenderableType:
        estimate = self.time_left.estimate()
        spent = format_duration(estimate.spent)
        left = "estimating the time left" if estimate.left is None else f"about {format_duration(estimate.left)} left"
        row = Table.grid(padding=(0, 2))
        row.add_row(ProgressBar(total=1.0, completed=estimate.share, width=30), f"{spent} spent, {left}")
        return row

    def _render_activities(self) -> RenderableType:
        grid = Table.grid(padding=(0, 2))
        for _ in range(2):
            grid.add_column(no_wrap=True, overflow="ellipsis")
        for case, activity in self.activities.describe_cases().items():
            grid.add_row(Text(case), Text(activity))
        return grid

    def _render_results(self, cases: Sequence[CaseSoFar]) -> RenderableType:
        reference = next((task.reference for task in self.current if task.reference), None)
        table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
        table.add_column("case", no_wrap=True, overflow="ellipsis")
        on_device = any(case.device_peak is not None for case in cases)
        for name in ("images/s", f"ratio to {reference}" if reference else "ratio", "device MB" if on_device else "MB"):
            table.add_column(name, justify="right", no_wrap=True, overflow="ellipsis")
        table.add_column("accuracy", justify="right", no_wrap=True)
        for case in cases:
            peak = case.device_peak if on_device else case.host_peak
            table.add_row(
                Text(case.case),
                _format_rate(case),
                Text(format_ratio_so_far(case), style="bold" if case.certain else ""),
                "–" if peak is None else f"{peak / MB:,.0f}",
                "–" if case.accuracy is None else f"{100 * case.accuracy:.1f} %",
            )
        return table

    def _render_verdict(self, rows: int) -> RenderableType:
        """The verdict on the task, and the answer on those before it, in the lines that the terminal has for them."""
        if self.verdict is None:
            return ""
        names = {(task.task, task.division) for task in self.current}
        here = [one for one in self.verdict.tasks if (one.task, one.division) in names]
        texts = [f"so far: {' '.join(one.text for one in here)}"] if here else []
        texts += [f"{one.task}: {one.sentences[0]}" for one in self.verdict.tasks if one not in here]
        lines = [line for text in texts for line in Text(text).wrap(self.console, self.console.size.width)]
        room = max(MIN_VERDICT_LINES, self.console.size.height - FRAME_LINES - rows)
        if len(lines) > room:
            lines[room - 1].truncate(self.console.size.width - 2)
            lines[room - 1].append(" …")
        return Group("", *lines[:room])


def _format_rate(case: CaseSoFar) -> str:
    if case.throughput is None:
        return "–"
    rate = case.throughput.estimate
    return f"{rate:,.{0 if rate >= 100 else 1 if rate >= 10 else 2}f}"
