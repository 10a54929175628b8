"""The run: it measures, or only proves, every task of a plan."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Protocol

import backends
from backends.task import Variant
from bench.analysis.warnings import MIN_LAUNCHES
from bench.errors import UserError
from bench.measure import conductor, record_builder
from bench.measure.case_job import format_case_id, make_case_job, write_images
from bench.measure.launch_outcome import LaunchInterrupted, WorkerOutcome
from bench.measure.scratch_folder import make_scratch_folder
from bench.measure.start_plan import START_UP_LAUNCHES, choose_limits
from bench.measure.stop_signals import SignalDeferral
from bench.measure.worker_groups import group_jobs
from bench.parity.tolerances import REFERENCE
from bench.plan.plan import Plan
from bench.plan.prepared_task import PreparedTask
from bench.records import store
from bench.records.record import Conditions, Proof, Record
from bench.records.round_kinds import COMPARED, KINDS
from bench.worker.job import Job

#: From this many rounds of a kind on, they are measured in two halves; with fewer, a half would be one round.
MIN_ROUNDS_TO_SPLIT = 4
#: The size of a complete proof: images, and steps with the task's batch size.
PROOF_IMAGES, PROOF_STEPS = 64, 50


class RunWatcher(conductor.Watcher, Protocol):
    """Receives the progress of a run, for example to show it."""

    def start_launch(self, prepared: PreparedTask, launch: int, jobs: Sequence[Job]) -> None:
        """A launch of a task is about to start its workers."""


def measure_launches(
    plan: Plan,
    run: Path,
    about: dict[str, object],
    watcher: RunWatcher,
    enough: Callable[[Sequence[Record]], bool] = lambda records: True,
    keep: Callable[[Record], object] | None = None,
    start_up_launches: int = START_UP_LAUNCHES,
) -> Iterator[list[Record]]:
    """Measure everything that is not done yet; yield each launch's records as soon as they are written.

    A launch that a signal ends has records of the cases that had finished. If a record cannot be written, its launch is
    still yielded, and then the measurement ends.

    Args:
        plan: what to measure, and the records that there are already.
        run: the run's folder.
        about: the run and its machine, as every record contains them.
        watcher: receives all progress.
        enough: whether a task's records suffice once it has the suite's launches; otherwise launches are added.
        keep: writes a record; by default into the run's folder.
        start_up_launches: launches in which the workers start one after the other.

    Raises:
        KeyboardInterrupt: a signal ended a launch, and its records were yielded.
        UserError: a record, or a file of a launch, cannot be written.
    """
    write = keep or partial(store.write_record, run)
    draw = random.Random()
    for position, prepared in enumerate(plan.tasks):
        began = time.monotonic()
        records = [record for record in plan.done if record.position == position]
        proofs = {record.case: record.proof for record in records if record.proof}
        while launch := _plan_next_launch(plan, prepared, records, enough, time.monotonic() - began):
            problem = None
            with SignalDeferral() as deferral:
                with make_scratch_folder() as folder:
                    measured = _run_launch(
                        plan, prepared, launch, folder, proofs, draw, watcher, deferral, records, start_up_launches
                    )
                    new_records = [
                        record_builder.build_record(
                            *parts, run=run.name, suite=plan.suite.name, position=position, about=about
                        )
                        for parts in measured.cases
                    ]
                    for record in new_records:
                        try:
                            write(record)
                        except UserError as error:
                            problem = error
                records += new_records
                yield new_records  # while signals are deferred: none interrupts before the caller has them
                if measured.stopped:
                    raise KeyboardInterrupt
            if problem:
                raise problem
            if all(record.failure for record in new_records):
                break  # the next launch would fail as well


@dataclass(frozen=True)
class NextLaunch:
    """A launch to be made: its number, and the seeds of its fine-tunes."""

    number: int
    seeds: tuple[int, ...]


def _plan_next_launch(
    plan: Plan,
    prepared: PreparedTask,
    records: Sequence[Record],
    enough: Callable[[Sequence[Record]], bool],
    spent: float,
) -> NextLaunch | None:
    """The launch to be made next; None if everything is done, or if `spent` seconds exceed the suite's time limit.

    Only complete launches count, because ratios need all cases of a launch. The number of an interrupted launch is not
    used again. The first launch has no fine-tunes if others follow, so that there are ratios after a minute.
    """
    cases = {format_case_id(prepared, backend, variant) for backend, variant in plan.cases(prepared)}
    by_launch: dict[int, set[str]] = {}
    for record in records:
        by_launch.setdefault(record.launch, set()).add(record.case)
    complete = {launch for launch, found in by_launch.items() if found >= cases}
    late = plan.suite.most_minutes is not None and spent > 60 * plan.suite.most_minutes
    missing = 0 if late and len(complete) >= MIN_LAUNCHES else max(0, plan.suite.launches - len(complete))
    all_seeds = range(prepared.task.seed, prepared.task.seed + plan.seeds) if prepared.fine_tune else ()
    fine_tuned = {tune.seed for record in records if record.launch in complete for tune in record.fine_tunes}
    seeds = [seed for seed in all_seeds if seed not in fine_tuned]
    if not missing and not seeds and enough(records):
        return None
    if not complete and missing > 1:
        return NextLaunch(max(by_launch, default=0) + 1, ())
    share = -(-len(seeds) // max(1, missing))
    return NextLaunch(max(by_launch, default=0) + 1, tuple(seeds[:share]))


def plan_proofs(plan: Plan) -> Plan:
    """Plan the complete proof of sameness of every case, without timed rounds."""
    effort = {"rounds": 0, "launches": 1, "proof_images": PROOF_IMAGES, "proof_steps": PROOF_STEPS}
    exchanging = tuple(variant for variant in plan.variants if variant.exchange != "none")
    return replace(plan, suite=plan.suite.model_copy(update={**effort, "most_minutes": None}), variants=exchanging)


def run_proofs(plan: Plan, watcher: RunWatcher, fine_tune: bool = True) -> Iterator[tuple[PreparedTask, list[Record]]]:
    """Run the proof of sameness of every case of a plan of `plan_proofs`, with or without its fine-tune."""
    for prepared in plan.tasks:
        only = NextLaunch(1, (prepared.task.seed,) if fine_tune else ())
        with SignalDeferral() as deferral, make_scratch_folder() as folder:
            measured = _run_launch(plan, prepared, only, folder, {}, random.Random(), watcher, deferral)
            records = [
                record_builder.build_record(*parts, run="", suite=plan.suite.name, position=0, about={})
                for parts in measured.cases
            ]
        if measured.stopped:
            raise KeyboardInterrupt
        yield prepared, records


@dataclass(frozen=True)
class MeasuredLaunch:
    """What a launch has measured.

    Attributes:
        cases: each measured case with its proof of sameness.
        stopped: whether a signal ended the launch; then only the cases that had finished are among them.
    """

    cases: list[tuple[record_builder.CaseLaunch, Proof | None]]
    stopped: bool


def _run_launch(
    plan: Plan,
    prepared: PreparedTask,
    launch: NextLaunch,
    folder: Path,
    proofs: dict[str, Proof],
    draw: random.Random,
    watcher: RunWatcher,
    deferral: SignalDeferral,
    records: Sequence[Record] = (),
    start_up_launches: int = START_UP_LAUNCHES,
) -> MeasuredLaunch:
    """Run a launch, which signals may interrupt while its workers run. New proofs are added to `proofs`.

    Args:
        records: of the task's earlier launches.
    """
    started = datetime.now(UTC)
    jobs = _make_jobs(plan, prepared, launch, folder, proofs)
    groups = group_jobs(jobs, records, plan.isolated)
    limits = choose_limits(records, max(map(len, groups)), start_up_launches)
    if limits.parallel_builds > 1:
        groups = [[job.model_copy(update={"rests": True}) for job in group] for group in groups]
    watcher.start_launch(prepared, launch.number, [job for group in groups for job in group])
    outcomes: dict[str, tuple[WorkerOutcome[Job], Conditions | None]] = {}
    unfinished: set[str] = set()
    stopped = False
    for group in groups:
        done = None
        try:
            with deferral.lifted():
                done = conductor.run_launch(
                    group, plan.suite.round_seconds, draw, watcher, reverse_start=launch.number % 2 == 0, limits=limits
                )
        except LaunchInterrupted as interrupted:
            done, stopped = interrupted.outcome, True
            unfinished = {job.case for job in group} - interrupted.finished
        except KeyboardInterrupt:  # before the first worker was started, or after the last one had ended
            stopped = True
        if done:
            outcomes |= {outcome.job.case: (outcome, done.conditions) for outcome in done.outcomes}
        if stopped:
            break
    reference_case = format_case_id(prepared, REFERENCE[0], plan.default)
    reference, _ = outcomes.get(reference_case, (None, None))
    if stopped and not (reference and "proven" in reference.messages):
        # Without the reference that was to come, the proofs would stay unproven when the run is resumed.
        unfinished |= {job.case for job in jobs if job.proof_steps and any(one.case == reference_case for one in jobs)}
    measured, case_launches = plan.cases(prepared), []
    for case, (outcome, conditions) in outcomes.items():
        if outcome.job.proof_steps and (verdict := record_builder.build_proof(outcome, reference, prepared)):
            proofs[case] = verdict
        elif case in proofs:
            proofs[case] = record_builder.extend_proof(proofs[case], outcome, reference, prepared)
        if (outcome.job.backend, outcome.job.variant) in measured and case not in unfinished:
            case_launch = record_builder.CaseLaunch(outcome, prepared, conditions, launch.number, started)
            case_launches.append((case_launch, _attribute_proof(proofs.get(case), outcome)))
    return MeasuredLaunch(case_launches, stopped)


def _attribute_proof(proof: Proof | None, outcome: WorkerOutcome[Job]) -> Proof | None:
    """The proof of a case, with its seconds only in the launch that it was made in."""
    if proof is None or outcome.job.proof_steps:
        return proof
    return proof.model_copy(update={"seconds": 0.0})


def _make_jobs(
    plan: Plan, prepared: PreparedTask, launch: NextLaunch, folder: Path, proofs: Mapping[str, Proof]
) -> list[Job]:
    """Make the jobs of a launch. Each case is proven in its first launch only, beside the reference."""
    data = write_images(prepared.dataset, folder)
    measured = plan.cases(prepared)
    reference = (REFERENCE[0], plan.default)
    unproven = {
        (backend, variant)
        for backend, variant in measured
        if variant.exchange != "none" and format_case_id(prepared, backend, variant) not in proofs
    }
    proving = unproven and {*unproven, reference}
    extra = (
        [reference]
        if proving and reference not in measured and not backends.find_missing_packages(reference[0])
        else []
    )
    jobs = []
    for backend, variant in (*extra, *measured):
        is_measured = (backend, variant) in measured
        jobs.append(
            make_case_job(
                prepared,
                backend,
                variant,
                data,
                folder,
                proof_images=plan.suite.proof_images,
                proof_steps=plan.suite.proof_steps if (backend, variant) in proving else 0,
                rounds=plan.suite.rounds if is_measured else 0,
                later=_count_later_rounds(plan.suite.rounds) if is_measured else 0,
                kinds=_choose_round_kinds(variant, launch),
                cache_limit=plan.cache_limit,
                nodes=plan.nodes,
                host=plan.host,
                seeds=launch.seeds if variant.exchange != "none" and (is_measured or not plan.suite.rounds) else (),
            )
        )
    return jobs


def _count_later_rounds(rounds: int) -> int:
    """How many rounds of each kind run later, after the first rounds of all kinds: half of them, if there are enough.

    A slow phase of the machine lasts for ten seconds and slows one framework more than another. With later rounds it
    affects only half of a kind.
    """
    return rounds // 2 if rounds >= MIN_ROUNDS_TO_SPLIT else 0


def _choose_round_kinds(variant: Variant, launch: NextLaunch) -> tuple[str, ...]:
    """The kinds of rounds of a case. Training on cached features has no input pipeline that could be left out."""
    if variant.features == "cached":
        return ("pipeline",)
    return KINDS if launch.number == 1 else COMPARED
