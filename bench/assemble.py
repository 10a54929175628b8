"""From what a worker said and left behind to a record."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import numpy as np

from bench import memory, parity
from bench.conductor import Outcome
from bench.record import Doubt, FineTune, Memory, Proof, Record, Rounds, StartUp
from bench.request import Prepared


def proof(outcome: Outcome, reference: Outcome | None, prepared: Prepared) -> Proof | None:
    """The verdict on a case; None where it left no evidence."""
    mine = _arrays(outcome, "proof.npz")
    if mine is None:
        return None
    theirs = mine if reference is outcome else _arrays(reference, "proof.npz") if reference else None
    tuned = _arrays(outcome, "fine_tune.npz")
    others = _arrays(reference, "fine_tune.npz") if reference else None
    verdict = parity.prove(mine, theirs, prepared.task, (tuned, others) if tuned is not None else None)
    return verdict.model_copy(update={"seconds": outcome.said["proven"]["seconds"]})


def record(
    outcome: Outcome,
    prepared: Prepared,
    verdict: Proof | None,
    *,
    run: str,
    suite: str,
    banner: str | None,
    launch: int,
    started: datetime,
) -> Record:
    """One launch of one case."""
    job, said = outcome.job, outcome.said
    benchmarks = _benchmarks(outcome)
    built = said.get("built", {})
    rounds = {kind: _rounds(outcome, kind, benchmarks) for kind in ("pipeline", "compute")}
    return Record(
        run=run,
        suite=suite,
        case=job.case,
        task=job.task,
        task_hash=job.task.hash,
        overridden=prepared.overridden,
        backend=job.backend,
        variant=job.variant,
        launch=launch,
        started=started.isoformat(timespec="seconds"),
        dataset_fingerprint=prepared.dataset.fingerprint,
        checkpoint_hash=prepared.checkpoint.sha256,
        resolved=built.get("resolved", {}),
        start_up=StartUp(**{name: built[name] for name in StartUp.model_fields}) if built else None,
        memory=_memory(outcome),
        pipeline=rounds["pipeline"],
        compute=rounds["compute"],
        fine_tune=_fine_tune(outcome, prepared),
        proof=verdict,
        benchmarks=tuple(benchmarks.values()),
        warnings=tuple(_doubts(outcome, banner)),
        failure=outcome.failure,
    )


def _arrays(outcome: Outcome, name: str) -> dict[str, np.ndarray] | None:
    file = outcome.job.folder / name
    if not file.is_file():
        return None
    with np.load(file) as arrays:
        return dict(arrays)


def _benchmarks(outcome: Outcome) -> dict[str, dict[str, Any]]:
    """pytest-benchmark's entries by kind; it writes them when a worker ends well."""
    file = outcome.job.folder / "benchmark.json"
    if not file.is_file() or not file.stat().st_size:
        return {}
    entries = json.loads(file.read_text())["benchmarks"]
    return {entry["extra_info"]["kind"]: entry for entry in entries}


def _rounds(outcome: Outcome, kind: str, benchmarks: dict[str, dict[str, Any]]) -> Rounds | None:
    if kind not in benchmarks:
        return None
    entry = benchmarks[kind]
    return Rounds(
        kind=kind,
        steps=entry["extra_info"]["steps_per_round"],
        images=entry["extra_info"]["images_per_round"],
        seconds=tuple(entry["stats"]["data"]),
        warmup_steps=outcome.said[f"calibrated {kind}"]["steps"],
    )


def _memory(outcome: Outcome) -> Memory | None:
    if "built" not in outcome.said:
        return None
    peaks = outcome.said["built"]["peaks"]
    training = outcome.said.get("memory", {})
    return Memory(
        host_interpreter=peaks["interpreter"],
        host_import=peaks["import"],
        host_build=peaks["build"],
        host_training=training.get("host"),
        device_allocated=training.get("device_allocated"),
        device_reserved=training.get("device_reserved"),
        nvml_device=outcome.nvml_device,
    )


def _fine_tune(outcome: Outcome, prepared: Prepared) -> FineTune | None:
    tuned = outcome.said.get("fine-tuned")
    if not tuned:
        return None
    return FineTune(
        seconds=tuned["seconds"],
        evaluation_s=tuned["evaluation_s"],
        train_loss=tuple(tuned["train_loss"]),
        train_images=len(prepared.dataset.train_images),
        test_images=len(prepared.dataset.test_images),
        # With random weights an accuracy would say something about the draw, not about the fine-tune.
        correct=None if prepared.task.weights == "random" else tuned["correct"],
    )


def _doubts(outcome: Outcome, banner: str | None) -> list[Doubt]:
    doubts = [doubt] if (doubt := memory.doubt()) else []
    if banner:
        doubts.append(Doubt(name="offline-suite", evidence=banner, advice="bring the data and weights that it names"))
    for kind in ("pipeline", "compute"):
        calibrated = outcome.said.get(f"calibrated {kind}")
        if calibrated and calibrated["capped"]:
            doubts.append(
                Doubt(
                    name=f"warm-up-cap-{kind}",
                    evidence=f"still getting faster after {calibrated['steps']} steps",
                    advice="close other programs, or compare with more launches",
                )
            )
    return doubts
