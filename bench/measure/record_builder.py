"""The record builder: it turns a worker's messages and files into a record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from bench.analysis import warnings
from bench.measure.launch_outcome import WorkerOutcome
from bench.parity.sameness_proof import add_fine_tune, prove
from bench.plan.prepared_task import PreparedTask
from bench.records.benchmark_entries import divide_by_steps, merge_entries
from bench.records.private_paths import shorten_all
from bench.records.record import CachedFeatures, Conditions, FineTune, Memory, Phase, Proof, Record, Rounds, StartUp
from bench.records.round_kinds import KINDS
from bench.worker.job import Job

#: Values for what a worker of an older revision, a gate's base, does not measure yet.
OLD_WORKER_DEFAULTS = {"closing_s": 0.0, "harness_s": 0.0}


def build_proof(
    outcome: WorkerOutcome[Job], reference: WorkerOutcome[Job] | None, prepared: PreparedTask
) -> Proof | None:
    """The verdict of the proof of sameness on a case; None if the worker left no evidence."""
    evidence = _load_evidence(outcome)
    if evidence is None:
        return None
    reference_evidence = evidence if reference is outcome else _load_evidence(reference) if reference else None
    fine_tune = _load_fine_tune(outcome)
    reference_fine_tune = _load_fine_tune(reference) if reference else None
    fine_tunes = (fine_tune, reference_fine_tune) if fine_tune is not None else None
    variant = outcome.job.variant
    verdict = prove(
        evidence, reference_evidence, prepared.task, fine_tunes, variant.precision, variant.features == "cached"
    )
    return verdict.model_copy(update={"seconds": outcome.messages["proven"]["seconds"]})


def extend_proof(
    proof: Proof, outcome: WorkerOutcome[Job], reference: WorkerOutcome[Job] | None, prepared: PreparedTask
) -> Proof:
    """Add the checks of a later launch's fine-tune to a proof; without a fine-tune it stays as it is."""
    fine_tune = _load_fine_tune(outcome)
    if fine_tune is None:
        return proof
    other = _load_fine_tune(reference) if reference and reference is not outcome else None
    return add_fine_tune(proof, fine_tune, other, prepared.task, outcome.job.variant.precision)


@dataclass(frozen=True)
class CaseLaunch:
    """One case in one launch.

    Attributes:
        outcome: of its worker.
        conditions: what else the machine did during the rounds.
        launch: the launch's number, from 1.
        started: when the launch began.
    """

    outcome: WorkerOutcome[Job]
    prepared: PreparedTask
    conditions: Conditions | None
    launch: int
    started: datetime


def build_record(
    case_launch: CaseLaunch,
    verdict: Proof | None,
    *,
    run: str,
    suite: str,
    position: int,
    about: dict[str, Any],
) -> Record:
    """Build the record of one launch of one case, with the warnings that need no other launch."""
    outcome, prepared = case_launch.outcome, case_launch.prepared
    job, messages = outcome.job, outcome.messages
    benchmarks = _read_benchmarks(outcome)
    built = messages.get("built", {})
    measured = {kind: _build_rounds(outcome, kind, benchmarks) for kind in KINDS}
    made = Record(
        run=run,
        suite=suite,
        position=position,
        about=about,
        framework=built.get("framework", {}),
        case=job.case,
        task=job.task,
        task_hash=job.task.hash,
        overridden=prepared.overridden,
        backend=job.backend,
        variant=job.variant,
        launch=case_launch.launch,
        started=case_launch.started.isoformat(timespec="seconds"),
        dataset_fingerprint=prepared.dataset.fingerprint,
        checkpoint_hash=prepared.checkpoint.sha256,
        resolved=built.get("resolved", {}),
        variables=outcome.variables,
        disobeyed=outcome.disobeyed,
        started_alone=outcome.started_alone,
        start_up=StartUp(**(OLD_WORKER_DEFAULTS | built["start_up"])) if built and outcome.started_alone else None,
        features=CachedFeatures(**shorten_all(built["features"])) if built.get("features") else None,
        memory=_build_memory(outcome),
        pipeline=measured["pipeline"],
        compute=measured["compute"],
        loader=measured["loader"],
        fine_tunes=tuple(_build_fine_tunes(outcome, prepared)),
        conditions=case_launch.conditions,
        proof=verdict,
        benchmarks=tuple(entry for kind, entry in benchmarks.items() if kind != "loader"),
        warnings=(),
        failure=outcome.failure,
    )
    return made.model_copy(update={"warnings": warnings.find_launch_warnings(made)})


def build_speed_record(case_launch: CaseLaunch, banner: str | None = None) -> Record:
    """Build the record of a launch of which only times are shown, outside a run: its warnings say nothing of memory.

    Args:
        case_launch: the launch.
        banner: of the plan.
    """
    made = build_record(case_launch, None, run="", suite="", position=0, about={"run": {"banner": banner}})
    made = made.model_copy(update={"memory": None})
    return made.model_copy(update={"warnings": warnings.find_launch_warnings(made)})


def read_rounds(outcome: WorkerOutcome[Job], kind: str) -> Rounds | None:
    """Read the rounds of one kind; None if they were not all measured."""
    return _build_rounds(outcome, kind, _read_benchmarks(outcome))


def read_step_seconds(outcome: WorkerOutcome[Any]) -> dict[str, tuple[float, ...]]:
    """Read the seconds per step of each round, by kind; kinds that were not measured completely are left out."""
    return {kind: tuple(divide_by_steps(entry)) for kind, entry in _read_benchmarks(outcome).items()}


def _load_evidence(outcome: WorkerOutcome[Job]) -> dict[str, np.ndarray] | None:
    return _load_arrays(outcome, "proof.npz") if "proven" in outcome.messages else None


def _load_fine_tune(outcome: WorkerOutcome[Job]) -> dict[str, np.ndarray] | None:
    return _load_arrays(outcome, "fine_tune.npz") if f"fine-tuned {outcome.job.task.seed}" in outcome.messages else None


def _load_arrays(outcome: WorkerOutcome[Job], name: str) -> dict[str, np.ndarray]:
    """Load a file that the worker has reported as complete."""
    with np.load(outcome.job.folder / name) as arrays:
        return dict(arrays)


def _read_benchmarks(outcome: WorkerOutcome[Any]) -> dict[str, dict[str, Any]]:
    """Read pytest-benchmark's entries by kind; it writes them when a worker ends without a failure."""
    file = outcome.job.folder / "benchmark.json"
    if not file.is_file() or not file.stat().st_size:
        return {}
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))["benchmarks"]
    except ValueError:  # cut off: the worker died while it wrote
        return {}
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        by_kind.setdefault(entry["extra_info"]["kind"], []).append(entry)
    return {kind: merge_entries(several) for kind, several in by_kind.items()}


def _build_rounds(outcome: WorkerOutcome[Job], kind: str, benchmarks: dict[str, dict[str, Any]]) -> Rounds | None:
    if kind not in benchmarks:
        return None
    entry = benchmarks[kind]
    return Rounds(
        kind=kind,
        steps=entry["extra_info"]["steps_per_round"],
        images=entry["extra_info"]["images_per_round"],
        seconds=tuple(entry["stats"]["data"]),
        warmup_steps=outcome.messages[f"calibrated {kind}"]["steps"],
        warmup_capped=outcome.messages[f"calibrated {kind}"]["capped"],
    )


def _build_memory(outcome: WorkerOutcome[Job]) -> Memory | None:
    if "memory" not in outcome.messages:
        return None
    memory = outcome.messages["memory"]
    return Memory(
        host=tuple(Phase(**phase) for phase in memory["host"]),
        resettable=memory["resettable"],
        device_allocated=memory["device_allocated"],
        device_reserved=memory["device_reserved"],
        nvml_device=outcome.nvml_device,
    )


def _build_fine_tunes(outcome: WorkerOutcome[Job], prepared: PreparedTask) -> Iterator[FineTune]:
    # With random weights an accuracy would depend on the drawn weights, not on the fine-tune.
    random = prepared.task.weights == "random"
    for seed in outcome.job.seeds:
        if message := outcome.messages.get(f"fine-tuned {seed}"):
            tuned: dict[str, Any] = OLD_WORKER_DEFAULTS | message
            scored = outcome.messages.get(f"epochs scored {seed}", {"correct": (), "images": 0})
            yield FineTune(
                seed=seed,
                seconds=tuned["seconds"],
                closing_s=tuned["closing_s"],
                evaluation_s=tuned["evaluation_s"],
                harness_s=tuned["harness_s"],
                elapsed_s=tuned["elapsed_s"],
                train_loss=tuple(tuned["train_loss"]),
                train_images=len(prepared.dataset.train_images),
                test_images=len(prepared.dataset.test_images),
                correct=None if random else tuned["correct"],
                right=None if random else tuned["right"],
                epoch_seconds=tuple(tuned.get("epoch_seconds", ())),
                epoch_correct=tuple(scored["correct"]),
                epoch_test_images=scored["images"],
            )
