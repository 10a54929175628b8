"""Live progress: the phase and round of each worker, its throughput, and the time left."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from bench.measure.conductor import LOADER_SHARE
from bench.measure.part_progress import PartProgress
from bench.plan.plan import Plan
from bench.plan.prepared_task import PreparedTask
from bench.records.round_kinds import KINDS
from bench.worker.channel import Message
from bench.worker.job import Job

#: First guesses for the time left, before anything was measured: seconds of a start, and images per second.
START_SECONDS = 15.0
FINE_TUNE_IMAGES_PER_SECOND = 400.0


def is_interactive(console: Console) -> bool:
    """Whether lines can be redrawn. With FORCE_COLOR, rich takes a file or a pipe for a terminal, too."""
    return console.is_terminal and console.file.isatty()


class Progress:
    """A `bench.measure.conductor.Watcher` that draws on a terminal; elsewhere it writes one line per phase."""

    def __init__(self, console: Console, plan: Plan, kinds: Sequence[str] = KINDS) -> None:
        """Show the progress of a plan in which each case has rounds of these `kinds`."""
        self.console = console
        self.interactive = is_interactive(console)
        self.plan = plan
        self.began = time.monotonic()
        self.total_seconds = sum(
            plan.suite.launches
            * len(plan.cases(prepared))
            * (START_SECONDS + plan.suite.rounds * sum(_estimate_round_seconds(plan, kind) for kind in kinds))
            + plan.seeds * len(plan.cases(prepared)) * _estimate_fine_tune_seconds(prepared)
            for prepared in plan.tasks
        )
        minutes = plan.suite.most_minutes
        self.max_seconds = None if minutes is None else 60 * minutes * len(plan.tasks)
        self.done_seconds = 0.0
        self.title = ""
        self.rows: dict[str, dict[str, Any]] = {}
        self.parts = PartProgress()
        self.live = Live(get_renderable=self._draw, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Progress:
        if self.interactive:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def start_launch(self, prepared: PreparedTask, launch: int, jobs: Sequence[Job]) -> None:
        """Show a new launch of a task."""
        self.prepared = prepared
        suite = self.plan.suite
        most = " at most" if suite.most_minutes else ""
        of = f" of{most} {suite.launches}" if launch <= suite.launches else ""
        self.title = f"{prepared.task.name}, launch {launch}{of}"
        self.rows = {job.case: {"phase": "waits to start", "rate": ""} for job in jobs}
        self._print_line(self.title)

    def on_event(self, case: str, message: Message) -> None:
        """See `Watcher.on_event`."""
        row = self.rows[case]
        describe = self.parts.describe if self.console.is_terminal else self.parts.describe_line
        if part := describe(case, message):
            row["phase"] = part
            self._print_line(f"  {case}: {part}")
        match message["event"]:
            case "phase":
                row["phase"] = message["name"]
                self._print_line(f"  {case}: {message['name']}")
            case "built":
                self.done_seconds += START_SECONDS
            case "calibrated" | "ready" | "fine-tune ready":
                row["phase"] = "waits"
            case "progress":
                share = message["steps"] / message["of"]
                row["phase"] = f"fine-tune, epoch {message['epoch'] + 1}, {share:.0%}"
            case "fine-tuned":
                self.done_seconds += _estimate_fine_tune_seconds(self.prepared)
                row["phase"] = f"fine-tuned in {message['seconds']:.0f} s"
                self._print_line(f"  {case}: {row['phase']}")
            case "finished":
                row["phase"] = "finished"
            case "died":
                row["phase"] = Text(f"died: {message['reason']}", style="red")
                self.console.print(Text(f"  {case} died: {message['reason']}", style="red"))

    def on_round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """See `Watcher.on_round`."""
        self.done_seconds += _estimate_round_seconds(self.plan, kind)
        rate = f"{images_per_second:,.0f} images/s" if kind in KINDS else ""  # a kernel's rounds have no images
        self.rows[case] |= {"phase": f"{kind} round {number} of {of}", "rate": rate}
        if number == of:
            self._print_line(f"  {case}: {of} {kind} rounds{rate and f', {rate} in the last'}")

    def _print_line(self, line: str) -> None:
        if not self.interactive:
            self.console.print(line, highlight=False, markup=False)

    def _draw(self) -> Group:
        grid = Table.grid(padding=(0, 2))
        for case, row in self.rows.items():
            grid.add_row(f"  {case}", row["phase"], row["rate"])
        share, seconds = self.estimate_remaining(time.monotonic() - self.began)
        left = "estimating" if seconds is None else f"about {seconds:,.0f} s left"
        head = Table.grid(padding=(0, 2))
        head.add_row(Text(self.title, style="bold"), ProgressBar(total=1.0, completed=share, width=30), left)
        return Group(head, grid)

    def estimate_remaining(self, spent: float) -> tuple[float, float | None]:
        """The share that is done after `spent` seconds, and the estimated seconds left; None while too little is done.

        A suite with a time limit ends then, even if launches are missing.
        """
        share = min(self.done_seconds / self.total_seconds, 0.99) if self.total_seconds else 0.0
        seconds = spent / share - spent if share > 0.02 else None
        if self.max_seconds:
            share = min(max(share, spent / self.max_seconds), 0.99)
            rest = max(0.0, self.max_seconds - spent)
            seconds = rest if seconds is None else min(seconds, rest)
        return share, seconds


def _estimate_round_seconds(plan: Plan, kind: str) -> float:
    """The approximate seconds of a round of a kind."""
    return plan.suite.round_seconds * (LOADER_SHARE if kind == "loader" else 1)


def _estimate_fine_tune_seconds(prepared: PreparedTask) -> float:
    """A first guess of the seconds of one fine-tune."""
    images = prepared.task.epochs * len(prepared.dataset.train_images)
    return images / FINE_TUNE_IMAGES_PER_SECOND if prepared.fine_tune else 0.0
