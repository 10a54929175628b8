"""From what a worker said and left behind to a record."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from bench.analysis import warnings
from bench.measure.conductor import Outcome
from bench.parity.verdict import prove
from bench.plan.request import Prepared
from bench.records.benchmark_entries import joined
from bench.records.record import CachedFeatures, Conditions, FineTune, Memory, Phase, Proof, Record, Rounds, StartUp
from bench.records.round_kinds import KINDS
from bench.worker.job import Job

#: What a worker of a gate's base does not tell where it is older than the measurement.
UNTOLD = {"closing_s": 0.0, "harness_s": 0.0}


def proof(outcome: Outcome[Job], reference: Outcome[Job] | None, prepared: Prepared) -> Proof | None:
    """The verdict on a case; None where it left no evidence."""
    mine = _evidence(outcome)
    if mine is None:
        return None
    theirs = mine if reference is outcome else _evidence(reference) if reference else None
    tuned = _tuned(outcome)
    others = _tuned(reference) if reference else None
    outcomes = (tuned, others) if tuned is not None else None
    variant = outcome.job.variant
    verdict = prove(mine, theirs, prepared.task, outcomes, variant.precision, variant.features == "cached")
    return verdict.model_copy(update={"seconds": outcome.said["proven"]["seconds"]})


@dataclass(frozen=True)
class Launched:
    """What became of one case in one launch, which began at `started`, and what else went on meanwhile."""

    outcome: Outcome[Job]
    prepared: Prepared
    conditions: Conditions | None
    launch: int
    started: datetime


def record(
    launched: Launched,
    verdict: Proof | None,
    *,
    run: str,
    suite: str,
    position: int,
    about: dict[str, Any],
) -> Record:
    """One launch of one case, with the doubts that it raises by itself."""
    outcome, prepared = launched.outcome, launched.prepared
    job, said = outcome.job, outcome.said
    benchmarks = _benchmarks(outcome)
    built = said.get("built", {})
    measured = {kind: _rounds(outcome, kind, benchmarks) for kind in KINDS}
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
        launch=launched.launch,
        started=launched.started.isoformat(timespec="seconds"),
        dataset_fingerprint=prepared.dataset.fingerprint,
        checkpoint_hash=prepared.checkpoint.sha256,
        resolved=built.get("resolved", {}),
        start_up=StartUp(**(UNTOLD | built["start_up"])) if built else None,
        features=CachedFeatures(**built["features"]) if built.get("features") else None,
        memory=_memory(outcome),
        pipeline=measured["pipeline"],
        compute=measured["compute"],
        loader=measured["loader"],
        fine_tunes=tuple(_fine_tunes(outcome, prepared)),
        conditions=launched.conditions,
        proof=verdict,
        benchmarks=tuple(entry for kind, entry in benchmarks.items() if kind != "loader"),
        warnings=(),
        failure=outcome.failure,
    )
    return made.model_copy(update={"warnings": warnings.of_launch(made)})


def rounds(outcome: Outcome[Job], kind: str) -> Rounds | None:
    """The rounds of one kind; None where they were not measured to their end."""
    return _rounds(outcome, kind, _benchmarks(outcome))


def step_seconds(outcome: Outcome[Any]) -> dict[str, tuple[float, ...]]:
    """Seconds a step of each round, by kind; what was not measured to its end is left out."""
    return {
        kind: tuple(seconds / entry["extra_info"]["steps_per_round"] for seconds in entry["stats"]["data"])
        for kind, entry in _benchmarks(outcome).items()
    }


def _evidence(outcome: Outcome[Job]) -> dict[str, np.ndarray] | None:
    return _arrays(outcome, "proof.npz") if "proven" in outcome.said else None


def _tuned(outcome: Outcome[Job]) -> dict[str, np.ndarray] | None:
    return _arrays(outcome, "fine_tune.npz") if f"fine-tuned {outcome.job.task.seed}" in outcome.said else None


def _arrays(outcome: Outcome[Job], name: str) -> dict[str, np.ndarray]:
    """A file of which the worker said that it is whole."""
    with np.load(outcome.job.folder / name) as arrays:
        return dict(arrays)


def _benchmarks(outcome: Outcome[Any]) -> dict[str, dict[str, Any]]:
    """pytest-benchmark's entries by kind; it writes them when a worker ends well."""
    file = outcome.job.folder / "benchmark.json"
    if not file.is_file() or not file.stat().st_size:
        return {}
    try:
        entries = json.loads(file.read_text())["benchmarks"]
    except ValueError:  # cut off: the worker died while it wrote
        return {}
    by_kind: dict[str, list[dict[str, Any]]] = {}
    for entry in entries:
        by_kind.setdefault(entry["extra_info"]["kind"], []).append(entry)
    return {kind: joined(several) for kind, several in by_kind.items()}


def _rounds(outcome: Outcome[Job], kind: str, benchmarks: dict[str, dict[str, Any]]) -> Rounds | None:
    if kind not in benchmarks:
        return None
    entry = benchmarks[kind]
    return Rounds(
        kind=kind,
        steps=entry["extra_info"]["steps_per_round"],
        images=entry["extra_info"]["images_per_round"],
        seconds=tuple(entry["stats"]["data"]),
        warmup_steps=outcome.said[f"calibrated {kind}"]["steps"],
        warmup_capped=outcome.said[f"calibrated {kind}"]["capped"],
    )


def _memory(outcome: Outcome[Job]) -> Memory | None:
    if "memory" not in outcome.said:
        return None
    told = outcome.said["memory"]
    return Memory(
        host=tuple(Phase(**phase) for phase in told["host"]),
        resettable=told["resettable"],
        device_allocated=told["device_allocated"],
        device_reserved=told["device_reserved"],
        nvml_device=outcome.nvml_device,
    )


def _fine_tunes(outcome: Outcome[Job], prepared: Prepared) -> Iterator[FineTune]:
    # With random weights an accuracy would say something about the draw, not about the fine-tune.
    random = prepared.task.weights == "random"
    for seed in outcome.job.seeds:
        if said := outcome.said.get(f"fine-tuned {seed}"):
            tuned: dict[str, Any] = UNTOLD | said
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
            )
