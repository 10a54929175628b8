"""Live progress: which worker does what, which round, throughput so far, time left."""

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
from bench.plan.request import Plan, Prepared
from bench.records.round_kinds import KINDS
from bench.worker.channel import Message
from bench.worker.job import Job

#: First guesses, in seconds, for the time left before anything was measured.
START_SECONDS = 15.0
FINE_TUNE_IMAGES_PER_SECOND = 400.0


class Progress:
    """A `bench.measure.conductor.Watcher` that draws on a terminal, or writes a line a phase elsewhere."""

    def __init__(self, console: Console, plan: Plan, kinds: Sequence[str] = KINDS) -> None:
        """Of a plan, in which each case has these kinds of rounds."""
        self.console = console
        self.plan = plan
        self.began = time.monotonic()
        self.total = sum(
            plan.suite.launches
            * len(plan.cases(prepared))
            * (START_SECONDS + plan.suite.rounds * sum(_round_seconds(plan, kind) for kind in kinds))
            + plan.seeds * len(plan.cases(prepared)) * _fine_tune_seconds(prepared)
            for prepared in plan.tasks
        )
        minutes = plan.suite.most_minutes
        self.most = None if minutes is None else 60 * minutes * len(plan.tasks)
        self.done = 0.0
        self.title = ""
        self.rows: dict[str, dict[str, Any]] = {}
        self.live = Live(get_renderable=self._draw, console=console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Progress:
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def launch(self, prepared: Prepared, launch: int, jobs: Sequence[Job]) -> None:
        """A launch begins."""
        self.prepared = prepared
        suite = self.plan.suite
        most = " at most" if suite.most_minutes else ""
        of = f" of{most} {suite.launches}" if launch <= suite.launches else ""
        self.title = f"{prepared.task.name}, launch {launch}{of}"
        self.rows = {job.case: {"phase": "waits to start", "rate": ""} for job in jobs}
        self._say(self.title)

    def event(self, case: str, message: Message) -> None:
        """See `Watcher.event`."""
        row = self.rows[case]
        match message["event"]:
            case "phase":
                row["phase"] = message["name"]
                self._say(f"  {case}: {message['name']}")
            case "built":
                self.done += START_SECONDS
            case "calibrated" | "ready" | "fine-tune ready":
                row["phase"] = "waits"
            case "progress":
                share = message["steps"] / message["of"]
                row["phase"] = f"fine-tune, epoch {message['epoch'] + 1}, {share:.0%}"
            case "fine-tuned":
                self.done += _fine_tune_seconds(self.prepared)
                row["phase"] = f"fine-tuned in {message['seconds']:.0f} s"
                self._say(f"  {case}: {row['phase']}")
            case "finished":
                row["phase"] = "finished"
            case "died":
                row["phase"] = Text(f"died: {message['reason']}", style="red")
                self.console.print(Text(f"  {case} died: {message['reason']}", style="red"))

    def round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """See `Watcher.round`."""
        self.done += _round_seconds(self.plan, kind)
        rate = f"{images_per_second:,.0f} images/s" if kind in KINDS else ""  # a kernel's rounds have no images
        self.rows[case] |= {"phase": f"{kind} round {number} of {of}", "rate": rate}
        if number == of:
            self._say(f"  {case}: {of} {kind} rounds{rate and f', {rate} in the last'}")

    def _say(self, line: str) -> None:
        if not self.console.is_terminal:
            self.console.print(line, highlight=False, markup=False)

    def _draw(self) -> Group:
        grid = Table.grid(padding=(0, 2))
        for case, row in self.rows.items():
            grid.add_row(f"  {case}", row["phase"], row["rate"])
        share, seconds = self.left(time.monotonic() - self.began)
        left = "estimating" if seconds is None else f"about {seconds:,.0f} s left"
        head = Table.grid(padding=(0, 2))
        head.add_row(Text(self.title, style="bold"), ProgressBar(total=1.0, completed=share, width=30), left)
        return Group(head, grid)

    def left(self, spent: float) -> tuple[float, float | None]:
        """The share that is done after `spent` seconds, and about how many are left; None as long as nobody can say.

        A suite that ends by the clock is over then, whatever is left of its launches.
        """
        share = min(self.done / self.total, 0.99) if self.total else 0.0
        seconds = spent / share - spent if share > 0.02 else None
        if self.most:
            share = min(max(share, spent / self.most), 0.99)
            rest = max(0.0, self.most - spent)
            seconds = rest if seconds is None else min(seconds, rest)
        return share, seconds


def _round_seconds(plan: Plan, kind: str) -> float:
    """About how long a round of a kind lasts."""
    return plan.suite.round_seconds * (LOADER_SHARE if kind == "loader" else 1)


def _fine_tune_seconds(prepared: Prepared) -> float:
    """A first guess at how long one fine-tune takes."""
    images = prepared.task.epochs * len(prepared.dataset.train_images)
    return images / FINE_TUNE_IMAGES_PER_SECOND if prepared.fine_tune else 0.0
