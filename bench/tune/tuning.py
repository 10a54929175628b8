"""The tuning of backends: search the fastest knobs of each, prove that they train the same, and save them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from backends.knob_table import KNOBS
from backends.knobs import NEEDS, get_default
from backends.starting_points import STARTING_POINTS
from backends.task import Variant
from bench.errors import UserError
from bench.machine.environment import PROJECT, count_usable_cores, describe_environment
from bench.machine.fingerprint import make_fingerprint
from bench.measure.conductor import START_TIMEOUT, LaunchLimits
from bench.measure.machine_lock import hold_lock
from bench.measure.run import plan_proofs, run_proofs
from bench.plan import tuned_variants, variants
from bench.plan.plan import Plan, make_plan
from bench.plan.prepared_task import PreparedTask
from bench.plan.request import Request
from bench.plan.several_devices import refuse_several_devices
from bench.plan.tuned_variants import HistoryEntry, TunedVariant
from bench.records.digest import compute_digest
from bench.report.live.activities import Activities
from bench.report.live.terminal_block import TerminalBlock, is_interactive
from bench.report.live.view_choice import open_view
from bench.report.terminal import print_missing
from bench.tune.crew_launch import NOT_TRIED, CrewMeasurer
from bench.tune.crew_workers import CrewWorkers
from bench.tune.journal import Journal
from bench.tune.launch_warnings import sum_up_launches
from bench.tune.search import SearchResult, TrialResult, build_variant, search
from bench.tune.tune_description import format_speedup
from bench.tune.tune_output import TuneOutput
from bench.worker.channel import Message

#: The knobs that are searched: not the threads, which depend on the machine, nor cached features, which are another
#: way to train.
SEARCHED_KNOBS = tuple(knob for knob in KNOBS if knob != "features")
#: Values that are not searched: one measures how a network is written, and needs an export first; the other decodes
#: images that are decoded already.
NOT_SEARCHED = {"graph": "exported", "images": "encoded"}
#: At most this many workers are built at the same time, and at most one for each core: each takes about 1 GiB of memory
#: while it is built.
MAX_PARALLEL_BUILDS = 4
#: A variant whose step takes more than this many times the default's is measured no further.
MAX_SLOWDOWN = 3.0
#: A worker may be silent for this share of the budget while it starts, but at least for this many seconds.
START_TIMEOUT_SHARE, MIN_START_TIMEOUT = 0.4, 60.0
#: What to do for more launches.
ADVICE = "use a larger --budget"
#: The source code on which the figures and decisions of a search depend.
SOURCES = ("backends", "bench/tune", "bench/worker", "bench/measure/conductor.py")


@dataclass
class SearchProgress:
    """The progress of one backend's search: a line for each trial, and on a terminal a line with the current step."""

    console: Console
    budget: float
    trials: list[TrialResult] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.began = time.monotonic()
        self.activities = Activities()
        self.block = TerminalBlock(self.console, self._render) if is_interactive(self.console) else None

    def __enter__(self) -> SearchProgress:
        if self.block:
            self.block.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        if self.block:
            self.block.__exit__()

    def print_line(self, text: str, style: str = "") -> None:
        """Print a line that stays on the screen."""
        line = Text(text, style=style)
        if self.block:
            self.block.print(line)
        else:
            self.console.print(line, highlight=False, soft_wrap=True)

    def add_trial(self, trial: TrialResult) -> None:
        """Keep a finished trial, and print its result."""
        self.trials.append(trial)
        problem = trial.problem if trial.problem == NOT_TRIED else f"failed: {trial.problem or 'no rounds'}"
        result = format_speedup(trial.speedup) if trial.speedup else problem
        self.print_line(f"  {trial.stage}: {trial.name}: {result}")

    def on_event(self, case: str, message: Message) -> None:
        """See `bench.measure.conductor.Watcher.on_event`."""
        self.activities.note_event(case, message)

    def on_round(self, case: str, kind: str, number: int, of: int, images_per_second: float) -> None:
        """See `bench.measure.conductor.Watcher.on_round`."""
        self.activities.note_round(case, kind, number, of, images_per_second)

    def _render(self) -> Text:
        spent = f"{time.monotonic() - self.began:.0f} of {self.budget:.0f} s"
        now = self.activities.describe_now()
        return Text(f"{spent}, {now}" if now else spent, no_wrap=True, overflow="ellipsis")


def tune_backends(budget: float, wait: bool, request: Request) -> int:
    """Tune each backend for each task.

    The exit status is 0; 1 if a result failed its proof; 130 after Ctrl-C.

    Args:
        budget: seconds for each backend and task, the proof included.
        wait: wait for another measurement on this machine to end.
        request: the tasks, backends and device.

    Raises:
        UserError: the request has a mistake; nothing was measured.
    """
    console = Console()
    refuse_several_devices(request, "bench tune")
    plan = make_plan(request)
    print_missing(console, plan.banner, plan.skipped, plan.threads_note)
    all_proven = True
    with hold_lock("bench tune", wait, console.print):
        environment = describe_environment()
        about = make_fingerprint(environment)
        output = TuneOutput(console, request.results, environment)
        try:
            for prepared in plan.tasks:
                for backend in plan.backends:
                    console.print(f"{backend} {prepared.task.name}", style="bold")
                    tuned, journal = _tune_backend(console, plan, prepared, backend, budget, about)
                    all_proven = all_proven and _is_proven(tuned.proof)
                    output.add(tuned, _save_or_warn(tuned, journal))
        except KeyboardInterrupt:
            output.finish()
            return 130
        output.finish()
    return 0 if all_proven else 1


def _tune_backend(
    console: Console,
    plan: Plan,
    prepared: PreparedTask,
    backend: str,
    budget: float,
    about: Mapping[str, Mapping[str, Any]],
) -> tuple[TunedVariant, Journal]:
    values = list_values_to_search(backend, plan.default, prepared)
    start_timeout = min(START_TIMEOUT, max(MIN_START_TIMEOUT, START_TIMEOUT_SHARE * budget))
    with SearchProgress(console, budget) as progress:
        workers = CrewWorkers(
            backend,
            prepared,
            progress,
            LaunchLimits(
                min(MAX_PARALLEL_BUILDS, count_usable_cores() or 1),
                start_timeout=start_timeout,
                max_slowdown=MAX_SLOWDOWN,
            ),
        )
        conditions = _list_conditions(about, prepared, plan.default, values, budget)
        journal = Journal(
            tuned_variants.get_file(backend, prepared.task.hash, about["machine"], plan.default).with_suffix(
                ".unfinished"
            ),
            conditions,
            workers.launch,
        )
        journal.check_writable()
        if journal.problem:
            progress.print_line(
                f"The interrupted tune cannot be resumed, starting from the beginning: {journal.problem}"
            )
        elif journal.resumed:
            progress.print_line(
                f"Resuming an interrupted tune: {journal.resumed} launches ({journal.resumed_s:.0f} s) are done"
            )
        try:
            result = search(
                plan.default,
                values,
                CrewMeasurer(journal.launch).measure,
                progress.add_trial,
                budget,
                lambda knobs: (
                    variants.explain_unsupported(backend, build_variant(plan.default, knobs), prepared.task) is None
                ),
                STARTING_POINTS.get(backend, ()),
            )
        except KeyboardInterrupt:
            progress.print_line(
                f"Stopped: {len(journal.launches)} finished launches are kept; run the same command again to resume"
            )
            raise
        if journal.unwritten:
            progress.print_line(f"  warning: {journal.unwritten}", style="yellow")
        for note in result.notes:
            progress.print_line(f"  {note}", style="yellow")
        began = time.monotonic()
    proof = _prove(console, plan, prepared, backend, result)
    if not _is_proven(proof):
        console.print(f"The result failed its proof, so the default is kept: {proof}", style="red", markup=False)
    knobs = dict(result.knobs) if _is_proven(proof) else {}
    speedup = result.speedup if knobs else None
    tuned = TunedVariant(
        backend=backend,
        task=prepared.task.name,
        task_hash=prepared.task.hash,
        device=plan.default.device,
        threads=plan.default.threads or 1,
        measured=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=dict(about["machine"]),
        versions=dict(about["versions"]),
        knobs=knobs,
        speedup=speedup.estimate if speedup else None,
        low=speedup.low if speedup else None,
        high=speedup.high if speedup else None,
        proof=proof,
        history=tuple(_make_history_entry(trial) for trial in progress.trials),
        notes=result.notes,
        warnings=sum_up_launches(journal.launches, result.launches if knobs else 0, ADVICE),
        seconds=sum(launch.wall_s for launch in journal.launches) + time.monotonic() - began,
    )
    return tuned, journal


def _list_conditions(
    about: Mapping[str, Mapping[str, Any]],
    prepared: PreparedTask,
    default: Variant,
    values: Mapping[str, list[str]],
    budget: float,
) -> dict[str, Any]:
    """Everything on which the figures of a search depend, except machine and task: these are in the file's name."""
    return {
        "versions": dict(about["versions"]),
        "variables": dict(about["variables"]),
        "sources": {name: compute_digest(PROJECT / name) for name in SOURCES},
        "images": prepared.dataset.fingerprint,
        "checkpoint": prepared.checkpoint.sha256,
        "default": default.model_dump(),
        "knobs": {knob: ", ".join(choices) for knob, choices in values.items()},
        "budget": budget,
    }


def list_values_to_search(backend: str, default: Variant, prepared: PreparedTask) -> dict[str, list[str]]:
    """By knob, the values besides the default that the backend can use for this task on this machine.

    Knobs with values that need a compiler come last: they take long to start, and there may be no time for all.
    """
    usable = {}
    for knob in sorted(SEARCHED_KNOBS, key=lambda knob: _needs_compiler(backend, knob)):
        usual = (get_default(backend, knob), NOT_SEARCHED.get(knob))
        others = [value for value in KNOBS[knob].values.get(backend, {}) if value not in usual]
        candidates = {value: build_variant(default, {knob: value}) for value in others}
        supported = [
            value
            for value, variant in candidates.items()
            if variants.explain_unsupported(backend, variant, prepared.task) is None
        ]
        if supported:
            usable[knob] = supported
    return usable


def _needs_compiler(backend: str, knob: str) -> bool:
    return any("compiler" in need for (name, of, _), need in NEEDS.items() if (name, of) == (backend, knob))


def _prove(console: Console, plan: Plan, prepared: PreparedTask, backend: str, result: SearchResult) -> str:
    """Run the proof of the result, without its fine-tune, and return the verdict."""
    best = build_variant(plan.default, result.knobs)
    one_case = replace(plan, tasks=(replace(prepared, fine_tune=False),), backends=(backend,), variants=(best,))
    proof_plan = plan_proofs(one_case)
    with open_view(console, proof_plan) as progress:
        ((_, records),) = run_proofs(proof_plan, progress, fine_tune=False)
    proof = next((record.proof for record in records), None)
    if proof is None:
        return "no proof was made"
    return proof.status if proof.comparable else f"{proof.status}: {proof.reason}"


def _is_proven(proof: str) -> bool:
    return proof in ("proven", "reference")


def _make_history_entry(trial: TrialResult) -> HistoryEntry:
    speedup = trial.speedup
    if speedup is None:
        return HistoryEntry(stage=trial.stage, name=trial.name, speedup=None)
    return HistoryEntry(
        stage=trial.stage, name=trial.name, speedup=speedup.estimate, low=speedup.low, high=speedup.high
    )


def _save_or_warn(tuned: TunedVariant, journal: Journal) -> str:
    """Save the tuned variant, and remove the journal; returns a line.

    It is a warning if the variant cannot be saved. Then its figures are printed, and the journal stays.
    """
    try:
        line = _save(tuned)
    except UserError as error:
        return f"warning: {error}: the result is not saved; run the same command again to save it"
    journal.remove()
    return line


def _save(tuned: TunedVariant) -> str:
    """Save the tuned variant, and return a line that names the file. An earlier result is kept if this tune decided
    nothing."""
    if tuned.speedup is None and tuned.notes:
        default = Variant(device=tuned.device, threads=tuned.threads)
        earlier = tuned_variants.load(tuned.backend, tuned.task_hash, default)
        if earlier is not None and earlier.knobs:
            knobs = ", ".join(earlier.knobs.values())
            return f"Nothing was decided, so the result of {earlier.measured} is kept: {knobs}"
    return f"Saved in {tuned_variants.save(tuned)}"
