"""The progress of a sweep: how many fine-tunes are finished, the estimated time left, and what each worker does."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console, Group, RenderableType
from rich.text import Text

from bench.report.live.activities import Activities
from bench.report.live.durations import format_duration
from bench.report.live.json_events import JsonEvents
from bench.report.live.part_progress import PartProgress
from bench.report.live.terminal_block import TerminalBlock, is_interactive
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
        self.activities = Activities()
        self.combinations = {one.number: one for one in grid.combinations}
        self.before, self.done, self.began = done, done, time.monotonic()
        interactive = not console.quiet and is_interactive(console)
        self.block = TerminalBlock(console, self._render) if interactive else None

    def __enter__(self) -> SweepProgress:
        if self.block:
            self.block.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self.block:
            self.block.__exit__()

    def event(self, backend: str, message: Message) -> None:
        """Show what the worker of a backend is doing, from its message."""
        self.activities.note_event(backend, message)
        if message["event"] == "combination":
            self.current[backend] = format_combination(self.combinations[message["number"]], self.grid.varied)
        if message["event"] == "died":
            self._print_line(f"  the worker of {backend} died: {message['reason']}", style="red")
        elif not self.block and (line := self.parts.describe_line(backend, message)):
            self._print_line(f"  {backend}: {line}")

    def finished(self, record: SweepRecord) -> None:
        """Count a finished fine-tune, and print a line about it."""
        self.done += 1
        if self.events:
            self.events.emit("fine-tune-finished", **self._describe(record))
        combination = format_combination(self.combinations[record.number], self.grid.varied)
        line = f"  {record.backend}, {combination}: {format_accuracy(record)}"
        self._print_line(line + _format_time_to_target(record, self.target))

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

    def _print_line(self, line: str, style: str = "") -> None:
        text = Text(line, style=style)
        if self.block:
            self.block.print(text)
        else:
            self.console.print(text, highlight=False, soft_wrap=True)

    def _render(self) -> RenderableType:
        """How much is done, the time that the rest takes at the pace until now, and what each backend is at."""
        total, spent = len(self.grid.fine_tunes), time.monotonic() - self.began
        own = self.done - self.before
        left = f", about {format_duration(spent / own * (total - self.done))} left" if own else ""
        head = f"{self.done} of {total} fine-tunes, {format_duration(spent)} spent{left}"
        activities = self.activities.describe_cases().items()
        lines = (f"{', '.join(filter(None, (one, self.current.get(one))))}: {activity}" for one, activity in activities)
        return Group(*(Text(line, no_wrap=True, overflow="ellipsis") for line in (head, *lines)))


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
