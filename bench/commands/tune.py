"""`bench tune`: find the fastest knobs of each backend on this machine, prove them, and keep them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from backends.knobs import KNOBS, default_of
from backends.task import Variant
from bench import comparison, tuned, variants
from bench.alone import alone
from bench.environment import environment, fingerprint
from bench.progress import Progress
from bench.quiet import Quiet
from bench.request import Plan, Prepared, Request, plan
from bench.stats import Interval
from bench.tune.measure import Workers
from bench.tune.search import Found, Trial, search, variant
from bench.tuned import Tried, Tuned

#: Knobs that are searched. Threads are the machine's, and cached features another way to train.
SEARCHED = tuple(knob for knob in KNOBS if knob != "features")
#: Of the proof of what was found.
IMAGES, STEPS = 64, 50


@dataclass
class Search:
    """One backend's search, told as it goes."""

    console: Console
    trials: list[Trial] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)

    def tell(self, trial: Trial) -> None:
        """A trial is over."""
        self.trials.append(trial)
        told = _told(trial.speedup) if trial.speedup else f"failed: {self.problems.get(trial.name, 'no rounds')}"
        self.console.print(f"  {trial.stage}: {trial.name}: {told}", markup=False, highlight=False, soft_wrap=True)

    def died(self, name: str, reason: str) -> None:
        """A variant's worker died."""
        self.problems[name] = reason


def tune(budget: float, wait: bool, **options: Any) -> int:
    """Tune each backend for each task; the exit status is 0, or 1 where what was found failed its proof.

    Args:
        budget: seconds for each backend and task after which nothing is halved any more.

    Raises:
        UserError: a mistake of the user's, before anything was started.
    """
    console = Console()
    chosen = plan(Request(**options))
    sound = True
    with alone("bench tune", wait, console.print):
        about = fingerprint(environment())
        for prepared in chosen.tasks:
            for backend in chosen.backends:
                console.print(f"{backend} {prepared.task.name}", style="bold")
                found = _tuned(console, chosen, prepared, backend, budget, about)
                sound = sound and found.proof in ("proven", "reference")
                console.print(_table(found))
                console.print(f"Kept in {tuned.keep(found)}", soft_wrap=True, markup=False)
    return 0 if sound else 1


def _tuned(
    console: Console,
    chosen: Plan,
    prepared: Prepared,
    backend: str,
    budget: float,
    about: Mapping[str, Mapping[str, Any]],
) -> Tuned:
    began, told = time.monotonic(), Search(console)
    workers = Workers(backend, prepared, Quiet(lambda line: None), told.died)
    values = _values(backend, chosen.default, prepared)
    found = search(chosen.default, values, workers.measure, told.tell, lambda: time.monotonic() - began > budget)
    proof = _proof(console, chosen, prepared, backend, found)
    if proof not in ("proven", "reference"):
        console.print(f"It failed its proof, so the default stays: {proof}", style="red", markup=False)
    kept = dict(found.knobs) if proof in ("proven", "reference") else {}
    ends = found.speedup if kept else None
    return Tuned(
        backend=backend,
        task=prepared.task.name,
        task_hash=prepared.task.hash,
        measured=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=dict(about["machine"]),
        versions=dict(about["versions"]),
        knobs=kept,
        speedup=ends.estimate if ends else None,
        low=ends.low if ends else None,
        high=ends.high if ends else None,
        proof=proof,
        history=tuple(_tried(trial) for trial in told.trials),
    )


def _values(backend: str, default: Variant, prepared: Prepared) -> dict[str, list[str]]:
    """By knob, what this backend has beside its default and can do on this machine for this task."""
    found = {}
    for knob in SEARCHED:
        others = [value for value in KNOBS[knob].values[backend] if value != default_of(backend, knob)]
        turned = {value: variant(default, {knob: value}) for value in others}
        usable = [v for v, one in turned.items() if variants.refused(backend, one, prepared.task) is None]
        if usable:
            found[knob] = usable
    return found


def _proof(console: Console, chosen: Plan, prepared: Prepared, backend: str, found: Found) -> str:
    """The verdict on what was found, by the whole proof but for the fine-tune."""
    best = variant(chosen.default, found.knobs)
    alone_ = replace(chosen, tasks=(replace(prepared, fine_tune=False),), backends=(backend,), variants=(best,))
    with Progress(console, alone_) as progress:
        ((_, records),) = comparison.prove(alone_, IMAGES, STEPS, progress)
    proof = next((record.proof for record in records), None)
    if proof is None:
        return "no proof was made"
    return proof.status if proof.comparable else f"{proof.status}: {proof.reason}"


def _tried(trial: Trial) -> Tried:
    ends = trial.speedup
    if ends is None:
        return Tried(stage=trial.stage, name=trial.name, speedup=None)
    return Tried(stage=trial.stage, name=trial.name, speedup=ends.estimate, low=ends.low, high=ends.high)


def _table(found: Tuned) -> Table:
    table = Table("knob", "default", "tuned", title=f"{found.backend}, {found.task}: tuned", title_justify="left")
    for knob in SEARCHED:
        usual = default_of(found.backend, knob)
        table.add_row(knob, usual, found.knobs.get(knob, usual))
    speedup = None if found.speedup is None else Interval(found.speedup, found.low, found.high)
    table.caption = f"{_told(speedup)}; {found.proof}" if speedup else "nothing is certainly faster than the default"
    return table


def _told(speedup: Interval) -> str:
    text = f"{speedup.estimate:.3f} × the default"
    return text if speedup.low is None else f"{text} [{speedup.low:.3f}–{speedup.high:.3f}]"
