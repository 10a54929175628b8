"""Live progress of a sweep: how many fine-tunes are done, about how long the rest takes, and what each worker does."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.text import Text

from bench.sweep.grid import Combination, Grid
from bench.sweep.sweep_record import Swept, reached
from bench.sweep.sweep_table import accuracy, value, words
from bench.worker.channel import Message


class SweepProgress:
    """Draws on a terminal; everywhere else a line is written for each fine-tune that is over."""

    def __init__(self, console: Console, grid: Grid, done: int, target: float | None) -> None:
        self.console, self.grid, self.target = console, grid, target
        self.at: dict[str, str] = {}
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
            disable=not console.is_terminal,
        )
        self.all: TaskID = self.live.add_task("fine-tunes", total=len(grid.fine_tunes), completed=done, now="")

    def __enter__(self) -> SweepProgress:
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def event(self, backend: str, message: Message) -> None:
        """A worker said something."""
        match message["event"]:
            case "combination":
                self.at[backend] = label(self.combinations[message["number"]], self.grid.varied)
                self._now(backend, "start")
            case "phase":
                self._now(backend, message["name"])
            case "progress":
                share = message["steps"] / message["of"]
                self._now(backend, f"epoch {message['epoch'] + 1}, {share:.0%}")
            case "died":
                self.live.console.print(Text(f"  the worker of {backend} died: {message['reason']}", style="red"))

    def finished(self, swept: Swept) -> None:
        """A fine-tune is over."""
        self.live.advance(self.all)
        told = f"  {swept.backend}, {label(self.combinations[swept.number], self.grid.varied)}: {accuracy(swept)}"
        self.live.console.print(told + _target(swept, self.target), markup=False, highlight=False, soft_wrap=True)

    def _now(self, backend: str, what: str) -> None:
        self.live.update(self.all, now=f"{backend}, {self.at.get(backend, '')}: {what}")


def label(one: Combination, varied: Sequence[str]) -> str:
    """A combination by the fields that vary."""
    task = one.prepared.task
    return ", ".join(f"{words(name)} {value(getattr(task, name))}" for name in varied) or task.name


def _target(swept: Swept, target: float | None) -> str:
    if target is None or not swept.epochs:
        return ""
    first = reached(swept, target)
    if first is None:
        return f", {100 * target:g} % not reached"
    return f", {100 * target:g} % after epoch {first[0]}, {first[1].train_s:,.2f} s"
