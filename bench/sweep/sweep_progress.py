"""The progress of a sweep: how many fine-tunes are finished, the estimated time left, and what each worker does."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.text import Text

from bench.report.live.json_events import JsonEvents
from bench.report.live.part_progress import PartProgress
from bench.report.live.terminal_block import is_interactive
from bench.sweep.grid import Combination, Grid
from bench.sweep.sweep_record import SweepRecord, find_target_epoch
from bench.sweep.sweep_table import format_accuracy, format_field_name, format_value
from bench.worker.channel import Message


class SweepProgress:
    """Shows live progress on a terminal; elsewhere prints a line for each finished fine-tune."""

    def __init__(
        self, console: Console, grid: Grid, done: int, target: float | None, events: JsonEvents | None = None
    ) -> None:
        self.console, self.grid, self.target, self.events = console, grid, target, events
        #: The combination that each backend is at.
        self.current: dict[str, str] = {}
        self.parts = PartProgress()
        self.combinations = {one.number: one for one in grid.combinations}
        self.live = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeLeft(),
            TextColumn("{task.fields[now]}", markup=False),
            console=console,
            transient=True,
            speed_estimate_period=600,
            disable=console.quiet or not is_interactive(console),
        )
        self.all: TaskID = self.live.add_task("fine-tunes", total=len(grid.fine_tunes), completed=done, now="")

    def __enter__(self) -> SweepProgress:
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def event(self, backend: str, message: Message) -> None:
        """Show what the worker of a backend is doing, from its message."""
        if not self.console.is_terminal:
            if line := self.parts.describe_line(backend, message):
                self.console.print(f"  {backend}: {line}", markup=False, highlight=False, soft_wrap=True)
        elif part := self.parts.describe(backend, message):
            self._show_current(backend, part)
        match message["event"]:
            case "combination":
                self.current[backend] = format_combination(self.combinations[message["number"]], self.grid.varied)
                self._show_current(backend, "start")
            case "phase":
                self._show_current(backend, message["name"])
            case "progress":
                share = message["steps"] / message["of"]
                self._show_current(backend, f"epoch {message['epoch'] + 1}, {share:.0%}")
            case "died":
                self.live.console.print(Text(f"  the worker of {backend} died: {message['reason']}", style="red"))

    def finished(self, record: SweepRecord) -> None:
        """Count a finished fine-tune, and print a line about it."""
        self.live.advance(self.all)
        if self.events:
            self.events.emit("fine-tune-finished", **self._describe(record))
        combination = format_combination(self.combinations[record.number], self.grid.varied)
        line = f"  {record.backend}, {combination}: {format_accuracy(record)}"
        self.live.console.print(
            line + _format_time_to_target(record, self.target), markup=False, highlight=False, soft_wrap=True
        )

    def _describe(self, record: SweepRecord) -> dict[str, object]:
        last = record.epochs[-1] if record.epochs else None
        return {
            "backend": record.backend,
            "task": record.task.name,
            "values": {name: getattr(record.task, name) for name in self.grid.varied},
            "accuracy": last.correct / record.test_images if last and last.correct is not None else None,
            "epochs": len(record.epochs),
            "seconds": record.elapsed_s,
            "failure": record.failure.reason if record.failure else None,
        }

    def _show_current(self, backend: str, activity: str) -> None:
        self.live.update(self.all, now=f"{backend}, {self.current.get(backend, '')}: {activity}")


def format_combination(one: Combination, varied: Sequence[str]) -> str:
    """Name a combination by the fields that vary."""
    task = one.prepared.task
    return ", ".join(f"{format_field_name(name)} {format_value(getattr(task, name))}" for name in varied) or task.name


def _format_time_to_target(record: SweepRecord, target: float | None) -> str:
    if target is None or not record.epochs:
        return ""
    first = find_target_epoch(record, target)
    if first is None:
        return f", {100 * target:g} % not reached"
    return f", {100 * target:g} % after epoch {first[0]}, {first[1].train_s:,.2f} s"
