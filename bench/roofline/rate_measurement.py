"""The measurement of a roofline: the kernels of each case's framework and its training steps, in interleaved rounds."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from backends.task import Variant
from bench.measure import conductor, record_builder
from bench.measure.case_job import make_case_job, write_images
from bench.measure.conductor import Watcher
from bench.measure.launch_outcome import WorkerOutcome
from bench.measure.scratch_folder import make_scratch_folder
from bench.plan.knob_support import explain_missing_bf16
from bench.plan.plan import Plan
from bench.plan.prepared_task import PreparedTask
from bench.records.record import Record
from bench.worker.job import Job
from bench.worker.kernels import LAYERS, RATES

#: Rounds of training steps, in the order in which a worker measures them.
STEP_KINDS = ("pipeline", "compute", "loader")
#: All kinds of rounds.
ROUND_KINDS = (*STEP_KINDS, *RATES)


@dataclass
class CaseMeasurement:
    """What was measured of one case.

    Attributes:
        seconds: of one step, or of one run of a kernel, by kind of round, launch and round.
        layers: by launch, seconds of single convolutions, by `name pass`; one of each shape.
        records: of each launch, which have what else the machine did and the warnings.
        failure: why a worker of the case died; None if none did.
    """

    backend: str
    variant: Variant
    seconds: dict[str, list[list[float]]] = field(default_factory=lambda: defaultdict(list))
    layers: list[Mapping[str, float]] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    failure: str | None = None


def list_round_kinds(variant: Variant) -> tuple[str, ...]:
    """List the rounds of a case. With cached features it has no convolutions, and no steps without input pipeline.

    Matrix products are measured in fp32, or in tf32 if the variant uses it for fp32; in bf16 if the device has it; and
    in the variant's precision.
    """
    single = "tf32" if variant.precision == "tf32" else "fp32"
    half = ("bf16",) if explain_missing_bf16(variant.device) is None else ()
    gemms = {f"gemm {precision}" for precision in (single, *half, variant.precision)}
    rates = [kind for kind in RATES if kind in gemms or not kind.startswith("gemm")]
    if variant.features == "cached":
        return ("pipeline", *(kind for kind in rates if kind != "convolutions"))
    return (*STEP_KINDS, *rates, LAYERS)


def measure_rates(
    plan: Plan,
    prepared: PreparedTask,
    cases: Sequence[CaseMeasurement],
    watcher: Watcher,
    on_launch: Callable[[int, Sequence[Job]], object],
) -> None:
    """Measure all cases of a task, in the launches and rounds of the plan's suite.

    Args:
        cases: of the task; each finished launch is added to them.
        on_launch: is called before each launch with its number, from 1 on, and its jobs.
    """
    rng = random.Random()
    for launch in range(1, plan.suite.launches + 1):
        with make_scratch_folder() as folder:
            started = datetime.now(UTC)
            jobs = _make_jobs(plan, prepared, cases, folder)
            on_launch(launch, jobs)
            # Kinds are measured in the order of the first job's, so that it must have all: the one with most kinds has.
            ordered = sorted(jobs, key=lambda one: -len(one.kinds))
            done = conductor.run_launch(ordered, plan.suite.round_seconds, rng, watcher, reverse_start=launch % 2 == 0)
            outcomes = {outcome.job.case: outcome for outcome in done.outcomes}
            for case, its_job in zip(cases, jobs, strict=True):
                outcome = outcomes[its_job.case]
                _add_outcome(case, outcome)
                case_launch = record_builder.CaseLaunch(outcome, prepared, done.conditions, launch, started)
                case.records.append(record_builder.build_speed_record(case_launch, plan.banner))


def _make_jobs(plan: Plan, prepared: PreparedTask, cases: Sequence[CaseMeasurement], folder: Path) -> list[Job]:
    data = write_images(prepared.dataset, folder)
    return [
        make_case_job(
            prepared,
            case.backend,
            case.variant,
            data,
            folder,
            rounds=plan.suite.rounds,
            kinds=list_round_kinds(case.variant),
            cache_limit=plan.cache_limit,
        )
        for case in cases
    ]


def _add_outcome(measured: CaseMeasurement, outcome: WorkerOutcome[Job]) -> None:
    if outcome.failure:
        measured.failure = outcome.failure.reason
        return
    for kind, seconds in record_builder.read_step_seconds(outcome).items():
        measured.seconds[kind].append(list(seconds))
    if LAYERS in outcome.messages:
        measured.layers.append(outcome.messages[LAYERS]["seconds"])
