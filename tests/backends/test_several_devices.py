"""The engines with two real processes on the CPU: they train the same head as one, and none outlives another."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from backends import REGISTRY
from backends.task import Variant
from bench.measure import conductor
from bench.measure.launch_outcome import WorkerOutcome
from bench.parity.sameness_proof import prove
from tests.backends.sessions import OWN, make_case
from tests.bench.measure.test_conductor import Watcher, make_jobs
from tests.bench.processes import arguments_of

#: Each backend that can have several devices, with variants of each way in which it trains.
VARIANTS: dict[str, dict[str, dict[str, str]]] = {
    "jax": {
        "default": {},
        "cached": {"features": "cached"},
        "functional": {"execution": "functional", "images": "uint8", "steps_per_execution": "4"},
        "constants": {"execution": "compiled_frozen", "folding": "product", "images": "resident"},
    },
    "keras-jax": {
        "default": {},
        "cached": {"features": "cached"},
        "folded": {"folding": "product"},
        "eager": {"execution": "eager"},
    },
}
#: Recipes in which every step has another rate, and the update is none of the frameworks' defaults.
SCHEDULE = {"schedule": "cosine", "warm_up": 2, "schedule_steps": 6}
RECIPES: dict[str, dict[str, object]] = {
    "sgd": {"nesterov": True, "weight_decay": 0.1, "clip_norm": 0.5, "label_smoothing": 0.2, **SCHEDULE},
    "adamw, augmented": {
        "update_rule": "adamw",
        "weight_decay": 0.1,
        "epsilon": 0.1,
        "flip": True,
        "crop_scale": 0.3,
        "jitter": 0.5,
        **SCHEDULE,
    },
}


def run_cases(
    folder: Path,
    backend: str,
    variants: dict[str, dict[str, str]],
    watcher: Watcher | None = None,
    recipe: dict[str, object] | None = None,
) -> dict[str, WorkerOutcome]:
    """Run a launch of a backend: `alone` on one device, and each variant on two."""
    jobs = []
    for job in make_jobs(folder, "alone", *variants):
        alone = job.case == "alone"
        knobs = {} if alone else variants[job.case]
        variant = Variant(threads=2, devices=None if alone else 2, **knobs)
        change = {"backend": backend, "variant": variant, "proof_steps": 6, "seeds": ()}
        if recipe:
            change["task"] = job.task.model_copy(update=recipe)
        if knobs.get("features"):
            change["features"] = folder / f"{job.case}.safetensors"
        jobs.append(job.model_copy(update=change))
    done = conductor.run_launch(jobs, 0.001, random.Random(1), watcher or Watcher())
    return {outcome.job.case: outcome for outcome in done.outcomes}


def read_evidence(outcome: WorkerOutcome) -> dict[str, np.ndarray]:
    with np.load(outcome.job.folder / "proof.npz") as evidence:
        return dict(evidence)


@pytest.mark.slow
@pytest.mark.parametrize("backend", [make_case(name) for name in VARIANTS])
def test_two_processes_train_the_same_head_as_one(tmp_path, backend):
    outcomes = run_cases(tmp_path, backend, VARIANTS[backend])
    failures = {case: outcome.failure for case, outcome in outcomes.items() if outcome.failure}
    assert not failures
    reference = read_evidence(outcomes["alone"])
    for case in VARIANTS[backend]:
        proof = prove(read_evidence(outcomes[case]), reference, outcomes[case].job.task, None)
        assert (proof.status, proof.reason) == ("proven", ""), case
        checks = {check.name: check for check in proof.checks}
        assert checks["one head"].difference == 0, case
        assert {"division of a batch", "division in the pipeline"} <= checks.keys()
        resolved = outcomes[case].messages["built"]["resolved"]
        assert (resolved["devices"], resolved["flags"]["exchange"]) == (2, "gloo")
        assert resolved["intra_op_threads"] == 1


@pytest.mark.thorough
@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("backend", [make_case(name) for name in OWN if REGISTRY[name].several_devices])
def test_two_processes_follow_a_recipe_as_one_does(tmp_path, backend, recipe):
    variants: dict[str, dict[str, str]] = {"default": {}, "cached": {"features": "cached"}}
    if "flip" in RECIPES[recipe]:
        del variants["cached"]
    outcomes = run_cases(tmp_path, backend, variants, recipe=RECIPES[recipe])
    assert not {case: outcome.failure for case, outcome in outcomes.items() if outcome.failure}
    reference = read_evidence(outcomes["alone"])
    for case in variants:
        proof = prove(read_evidence(outcomes[case]), reference, outcomes[case].job.task, None)
        assert (proof.status, proof.reason) == ("proven", ""), case


@pytest.mark.slow
@pytest.mark.parametrize("backend", [make_case(name) for name in VARIANTS])
def test_a_dead_peer_ends_the_case_within_five_seconds(tmp_path, backend):
    killed, ended = [], []

    class Killer(Watcher):
        def on_round(self, case, kind, number, of, images_per_second) -> None:
            super().on_round(case, kind, number, of, images_per_second)
            if case == "default" and not killed:
                family = psutil.Process().children(recursive=True)
                peer = next(process for process in family if "bench.worker.group.peer" in arguments_of(process))
                killed.append(time.monotonic())
                peer.kill()

        def on_event(self, case, message) -> None:
            super().on_event(case, message)
            if message["event"] == "died":
                ended.append(time.monotonic())

    outcomes = run_cases(tmp_path, backend, {"default": {}}, Killer())
    assert outcomes["alone"].failure is None
    assert outcomes["default"].failure.reason.startswith("process 1 of 2: killed by SIGKILL")
    assert ended[0] - killed[0] < 5
    family = psutil.Process().children(recursive=True)
    assert not [one for one in family if "bench.worker.group.peer" in arguments_of(one)]
