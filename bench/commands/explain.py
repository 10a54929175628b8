"""`bench explain`: which of the knobs that `bench tune` turned makes a step how much faster."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from bench import tuned
from bench.alone import alone
from bench.errors import UserError
from bench.quiet import Quiet
from bench.request import Request, plan
from bench.stats import Interval
from bench.tune.explain import LAUNCHES, ROUNDS, Step
from bench.tune.explain import explain as steps_of
from bench.tune.measure import Workers

#: Cells of the bar that stands for the tuned variant's speed-up.
WIDTH = 30


def explain(wait: bool, **options: Any) -> int:
    """Print a table for each backend and task.

    Raises:
        UserError: a mistake of the user's, or nothing was tuned.
    """
    console, progress = Console(), Console(stderr=True)
    chosen = plan(Request(**options))

    def say(line: str) -> None:
        progress.print(line, highlight=False, markup=False, soft_wrap=True)

    with alone("bench explain", wait, console.print):
        for prepared in chosen.tasks:
            for backend in chosen.backends:
                found = tuned.load(backend, prepared.task.hash)
                if found is None:
                    raise UserError(f"{prepared.task.name} was not tuned here: run bench tune --backend {backend}")
                if not found.knobs:
                    console.print(f"{backend} {prepared.task.name}: tuned is the default, there is nothing to explain")
                    continue
                say(f"{backend} {prepared.task.name}: {LAUNCHES} launches of {2 * len(found.knobs)} variants or fewer")
                workers = Workers(backend, prepared, Quiet(say), lambda name, reason: say(f"{name} died: {reason}"))
                steps = steps_of(chosen.default, found.knobs, workers.measure)
                console.print(table(f"{backend}, {prepared.task.name}: from default to tuned", steps))
    return 0


def table(title: str, steps: Sequence[Step]) -> Table:
    """A row a knob, with a bar from where the one before it ended to where this one does."""
    made = Table("knob", "value", "× the step before", "× the default so far", "tuned, × without it", "", title=title)
    ends = [step.so_far.estimate if step.so_far else 1.0 for step in steps]
    widest = max(1.0, *ends)
    before = 1.0
    for step, end in zip(steps, ends, strict=True):
        low, high = sorted((before, end))
        bar = " " * round(WIDTH * low / widest) + "█" * max(1, round(WIDTH * (high - low) / widest))
        made.add_row(step.knob, step.value, *map(_told, (step.by_itself, step.so_far, step.without)), bar)
        before = end
    made.caption = f"{LAUNCHES} launches of {ROUNDS} rounds each, `pipeline` steps; [95 % interval]"
    return made


def _told(found: Interval | None) -> str:
    if found is None:
        return "died"
    text = f"{found.estimate:.3f}"
    return text if found.low is None else f"{text} [{found.low:.3f}–{found.high:.3f}]"
