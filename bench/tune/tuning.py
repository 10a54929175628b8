"""Tuning: search the fastest knobs of each backend, prove the result, and keep it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.status import Status
from rich.table import Table

from backends.knob_table import KNOBS
from backends.knobs import NEEDS, get_default
from backends.starting_points import STARTING_POINTS
from backends.task import Variant
from bench.analysis.statistics import Interval
from bench.machine.environment import PROJECT, count_usable_cores, describe_environment, make_fingerprint
from bench.measure.conductor import START_TIMEOUT, LaunchLimits
from bench.measure.machine_lock import hold_lock
from bench.measure.progress import Progress
from bench.measure.run import run_proofs
from bench.plan import tuned_variants, variants
from bench.plan.plan import Plan, make_plan
from bench.plan.prepared_task import PreparedTask
from bench.plan.request import Request
from bench.plan.tuned_variants import HistoryEntry, TunedVariant
from bench.records.digest import compute_digest
from bench.report.terminal import print_missing
from bench.tune.crew_launch import CrewMeasurer
from bench.tune.crew_workers import CrewWorkers
from bench.tune.journal import Journal
from bench.tune.search import SearchResult, TrialResult, build_variant, search
from bench.worker.channel import Message

#: Knobs that are searched. Threads are the machine's, and cached features another way to train.
SEARCHED = tuple(knob for knob in KNOBS if knob != "features")
#: Of the proof of what was found.
IMAGES, STEPS = 64, 50
#: Workers that are built at the same time, where there are as many cores: each takes a GiB or so while it is built.
ABREAST = 4
#: A variant whose step takes more than so many times the default's is not measured any further.
SLOWEST = 3.0
#: Share of the budget, and seconds at least, that a worker may be silent while it starts.
PATIENCE, LEAST_PATIENCE = 0.4, 60.0
#: What decides the search beside the backend's own code.
SOURCES = ("backends", "bench/tune", "bench/worker", "bench/measure/conductor.py")


@dataclass
class Told:
    """One backend's search, told as it goes; on a terminal a line shows what is being done."""

    console: Console
    budget: float
    trials: list[TrialResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self.status = Status("starting", console=self.console)

    def __enter__(self) -> Told:
        if self.console.is_terminal:
            self.status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.status.stop()

    def line(self, text: str, style: str | None = None) -> None:
        """Say something that stays."""
        self.console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    def tell(self, trial: TrialResult) -> None:
        """A trial is over."""
        self.trials.append(trial)
        told = _told(trial.speedup) if trial.speedup else f"failed: {trial.problem or 'no rounds'}"
        self.line(f"  {trial.stage}: {trial.name}: {told}")

    def on_event(self, case: str, message: Message) -> None:
        """See `bench.measure.conductor.Watcher.on_event`."""
        if message["event"] == "phase":
            self._show(f"{case}: {message['name']}")

    def on_round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """See `bench.measure.conductor.Watcher.on_round`."""
        self._show(f"{case}: round {number} of {of}, {images_per_second:,.0f} images/s")

    def _show(self, text: str) -> None:
        self.status.update(f"{time.monotonic() - self.began:.0f} of {self.budget:.0f} s, {text}")


def find_fastest(budget: float, wait: bool, request: Request) -> int:
    """Tune each backend for each task.

    The exit status is 0; 1 where what was found failed its proof; 130 where it was stopped.

    Args:
        budget: seconds for each backend and task, for everything.

    Raises:
        UserError: a mistake of the user's, before anything was started.
    """

    console = Console()
    chosen = make_plan(request)
    print_missing(console, chosen.banner, chosen.skipped)
    sound = True
    with hold_lock("bench tune", wait, console.print):
        about = make_fingerprint(describe_environment())
        try:
            for prepared in chosen.tasks:
                for backend in chosen.backends:
                    console.print(f"{backend} {prepared.task.name}", style="bold")
                    found = _tuned(console, chosen, prepared, backend, budget, about)
                    sound = sound and _proven(found.proof)
                    console.print(_table(found))
                    console.print(_end(found), soft_wrap=True, markup=False, highlight=False)
                    console.print(_kept(found), soft_wrap=True, markup=False)
        except KeyboardInterrupt:
            return 130
    return 0 if sound else 1


def _tuned(
    console: Console,
    chosen: Plan,
    prepared: PreparedTask,
    backend: str,
    budget: float,
    about: Mapping[str, Mapping[str, Any]],
) -> TunedVariant:

    values = searched(backend, chosen.default, prepared)
    patience = min(START_TIMEOUT, max(LEAST_PATIENCE, PATIENCE * budget))
    with Told(console, budget) as told:
        workers = CrewWorkers(
            backend,
            prepared,
            told,
            LaunchLimits(min(ABREAST, count_usable_cores() or 1), start_timeout=patience, max_slowdown=SLOWEST),
        )
        conditions = _conditions(about, prepared, chosen.default, values, budget)
        journal = Journal(
            tuned_variants.get_file(backend, prepared.task.hash, about["machine"], chosen.default).with_suffix(
                ".unfinished"
            ),
            conditions,
            workers.launch,
        )
        if journal.problem:
            told.line(f"An interrupted tune is left aside and this one begins anew: {journal.problem}")
        elif journal.resumed:
            told.line(
                f"Going on from an interrupted tune: {journal.resumed} launches ({journal.resumed_s:.0f} s) are done"
            )
        try:
            found = search(
                chosen.default,
                values,
                CrewMeasurer(journal.launch).measure,
                told.tell,
                budget,
                lambda knobs: (
                    variants.explain_unsupported(backend, build_variant(chosen.default, knobs), prepared.task) is None
                ),
                STARTING_POINTS.get(backend, ()),
            )
        except KeyboardInterrupt:
            told.line(
                f"Stopped: {len(journal.launches)} finished launches are kept, the same command goes on from there"
            )
            raise
        for note in found.notes:
            told.line(f"  {note}", style="yellow")
        began = time.monotonic()
    proof = _proof(console, chosen, prepared, backend, found)
    if not _proven(proof):
        console.print(f"It failed its proof, so the default stays: {proof}", style="red", markup=False)
    kept = dict(found.knobs) if _proven(proof) else {}
    ends = found.speedup if kept else None
    journal.remove()
    return TunedVariant(
        backend=backend,
        task=prepared.task.name,
        task_hash=prepared.task.hash,
        device=chosen.default.device,
        threads=chosen.default.threads or 1,
        measured=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=dict(about["machine"]),
        versions=dict(about["versions"]),
        knobs=kept,
        speedup=ends.estimate if ends else None,
        low=ends.low if ends else None,
        high=ends.high if ends else None,
        proof=proof,
        history=tuple(_tried(trial) for trial in told.trials),
        notes=found.notes,
        seconds=sum(launch.wall_s for launch in journal.launches) + time.monotonic() - began,
    )


def _conditions(
    about: Mapping[str, Mapping[str, Any]],
    prepared: PreparedTask,
    default: Variant,
    values: Mapping[str, list[str]],
    budget: float,
) -> dict[str, Any]:
    """All that decides the figures of a search; the machine and the task are in the file's name."""

    return {
        "versions": dict(about["versions"]),
        "variables": dict(about["variables"]),
        "sources": {name: compute_digest(PROJECT / name) for name in SOURCES},
        "images": prepared.dataset.fingerprint,
        "checkpoint": prepared.checkpoint.sha256,
        "default": default.model_dump(),
        "knobs": {knob: ", ".join(several) for knob, several in values.items()},
        "budget": budget,
    }


def searched(backend: str, default: Variant, prepared: PreparedTask) -> dict[str, list[str]]:
    """By knob, what this backend has beside its default and can do on this machine for this task.

    Knobs with values that a compiler makes come last: they are dear to start, and there may be no time for all.
    """

    found = {}
    for knob in sorted(SEARCHED, key=lambda knob: _compiles(backend, knob)):
        others = [value for value in KNOBS[knob].values.get(backend, {}) if value != get_default(backend, knob)]
        turned = {value: build_variant(default, {knob: value}) for value in others}
        usable = [v for v, one in turned.items() if variants.explain_unsupported(backend, one, prepared.task) is None]
        if usable:
            found[knob] = usable
    return found


def _compiles(backend: str, knob: str) -> bool:

    return any("compiler" in need for (name, of, _), need in NEEDS.items() if (name, of) == (backend, knob))


def _proof(console: Console, chosen: Plan, prepared: PreparedTask, backend: str, found: SearchResult) -> str:
    """The verdict on what was found, by the whole proof but for the fine-tune."""

    best = build_variant(chosen.default, found.knobs)
    only = replace(
        chosen,
        suite=chosen.suite.model_copy(update={"launches": 1, "rounds": 0}),
        tasks=(replace(prepared, fine_tune=False),),
        backends=(backend,),
        variants=(best,),
    )
    with Progress(console, only) as progress:
        ((_, records),) = run_proofs(only, IMAGES, STEPS, progress, fine_tune=False)
    proof = next((record.proof for record in records), None)
    if proof is None:
        return "no proof was made"
    return proof.status if proof.comparable else f"{proof.status}: {proof.reason}"


def _proven(proof: str) -> bool:
    return proof in ("proven", "reference")


def _tried(trial: TrialResult) -> HistoryEntry:

    ends = trial.speedup
    if ends is None:
        return HistoryEntry(stage=trial.stage, name=trial.name, speedup=None)
    return HistoryEntry(stage=trial.stage, name=trial.name, speedup=ends.estimate, low=ends.low, high=ends.high)


def _table(found: TunedVariant) -> Table:

    table = Table("knob", "default", "tuned", title=f"{found.backend}, {found.task}: tuned", title_justify="left")
    for knob in SEARCHED:
        usual = get_default(found.backend, knob)
        table.add_row(knob, usual, found.knobs.get(knob, usual))
    return table


def _kept(found: TunedVariant) -> str:
    """Keep it, but for one that decided nothing where an earlier one did; where it lies."""

    if found.speedup is None and found.notes:
        like = Variant(device=found.device, threads=found.threads)
        earlier = tuned_variants.load(found.backend, found.task_hash, like)
        if earlier is not None and earlier.knobs:
            knobs = ", ".join(earlier.knobs.values())
            return f"Nothing was decided, so what was found on {earlier.measured} stays: {knobs}"
    return f"Kept in {tuned_variants.save(found)}"


def _end(found: TunedVariant) -> str:

    speedup = None if found.speedup is None else Interval(found.speedup, found.low, found.high)
    told = f"{_told(speedup)}, {found.proof}" if speedup else "Nothing is certainly faster than the default"
    return f"{told}; it took {found.seconds:.0f} s."


def _told(speedup: Interval) -> str:
    text = f"{speedup.estimate:.3f} × the default"
    return text if speedup.low is None else f"{text} [{speedup.low:.3f}–{speedup.high:.3f}]"
