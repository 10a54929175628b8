"""Example records with figures drawn from a seed, for the tests of tables and files."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pytest_benchmark.stats import Stats

from backends.task import Task, Variant
from bench.plan.task_table import TASKS
from bench.records.correct_images import encode_correct_images
from bench.records.record import (
    Check,
    Conditions,
    Failure,
    FineTune,
    MeasurementWarning,
    Memory,
    Phase,
    Proof,
    Record,
    Rounds,
    StartUp,
)

TASK = TASKS["cifar10-resnet18"]
MB = 2**20

PROVEN = Proof(
    status="proven",
    reason="",
    checks=(
        Check(name="forward", difference=4.1e-6, tolerance=1e-4, passed=True, detail="pooled features"),
        Check(name="frozen", difference=0.0, tolerance=0.0, passed=True, detail="62 arrays"),
    ),
    weights_hash="5c106cde386e87d4",
    order_hash="0a1b2c3d4e5f6071",
    seconds=12.5,
)
REFERENCE = PROVEN.model_copy(update={"status": "reference", "checks": (), "seconds": 3.0})
BROKEN = PROVEN.model_copy(
    update={
        "status": "failed",
        "reason": "the first step's loss differs by 2.0e-02",
        "checks": (
            *PROVEN.checks,
            Check(
                name="first_step",
                difference=0.02,
                tolerance=1e-5,
                passed=False,
                detail="loss 2.31 against 2.33",
            ),
        ),
    }
)
QUIET = Conditions(
    seconds=60.0,
    other_cpu=0.01,
    steal=0.0,
    cgroup_throttled=0,
    thermal_throttled=0,
    swapped=0,
    frequency=2600.0,
    memory_available=16_000 * MB,
    memory_limit=24_000 * MB,
    battery=False,
    governor="performance",
    usable_cores=2,
    cores=2,
    quota=None,
    limits={},
)
NOISY = MeasurementWarning(name="unsteady-rounds", evidence="rounds vary by 11 %", advice="close other programs")


def about(
    cpu: str = "AMD EPYC", cores: int = 2, torch: str = "2.9.0", variables: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Make the part of `environment.json` that a record has: the run, and its machine and software."""
    return {
        "time": "2026-01-02T03:04:05+00:00",
        "cpu": {
            "model": cpu,
            "flags": ["avx2", "fma"],
            "cores_logical": cores,
            "cores_usable": cores,
            "quota": None,
            "governor": "performance",
            "huge_pages": "madvise",
        },
        "memory": {"total": 24 * 2**30, "limit": None},
        "system": {"name": "Linux", "kernel": "6.1", "machine": "x86_64", "libc": "glibc 2.36", "load_average": None},
        "python": {"version": "3.11.7", "implementation": "CPython", "compiler": "GCC 12", "build": ["main", ""]},
        "packages": {"torch": torch, "tensorflow": "2.20.0", "keras": "3.12.0", "jax": None},
        "variables": dict(variables or {}),
        "git": {
            "revision": "0123456789abcdef0123456789abcdef01234567",
            "time": "2026-01-02T00:00:00+00:00",
            "dirty": False,
        },
        "gpus": [],
        "run": {"command": "run --suite quick", "relative_to": "pytorch", "skipped": {}, "banner": None},
    }


def record(
    backend: str = "pytorch",
    launch: int = 0,
    *,
    step_ms: float = 5.0,
    noise: float = 0.01,
    rounds: int = 12,
    steps: int = 40,
    variant: str = "default",
    task: Task = TASK,
    proof: Proof | None = None,
    correct: int | None = 7012,
    warnings: Sequence[MeasurementWarning] = (),
    overridden: Sequence[str] = (),
) -> Record:
    """Make one launch; a step takes about `step_ms` in `pipeline` rounds, and 0.8 of it in `compute` rounds.

    A round has `steps` steps.
    """
    case = f"{task.name}/{backend}/{variant}"
    rng = np.random.default_rng([zlib.crc32(case.encode()), launch])
    factor = np.exp(rng.normal(0, noise))
    pipeline, compute, loader = (
        Rounds(
            kind=kind,
            steps=steps,
            images=steps * task.batch_size,
            seconds=tuple(float(s) for s in share * (steps / 1000) * step_ms * factor * rng.normal(1, noise, rounds)),
            warmup_steps=80,
            warmup_capped=False,
        )
        for kind, share in (("pipeline", 1.0), ("compute", 0.8), ("loader", 0.3))
    )
    return Record(
        run="20260102T030405Z-quick",
        suite="quick",
        position=0,
        about={},
        framework={"build": "GCC 13"},
        case=case,
        task=task,
        task_hash=task.hash,
        overridden=tuple(overridden),
        backend=backend,
        variant=Variant(name=variant),
        launch=launch,
        started="2026-01-02T03:04:05+00:00",
        dataset_fingerprint="d47a",
        checkpoint_hash="f37072fd",
        resolved={"threads": 2},
        start_up=StartUp(
            process_s=1.0,
            import_s=2.0 + launch / 10,
            data_s=0.25,
            build_s=0.5,
            first_step_s=0.75,
            closing_s=0.05,
            harness_s=0.05,
            elapsed_s=4.6 + launch / 10,
        ),
        memory=Memory(
            host=tuple(
                Phase(name=name, peak=size * MB, live=(size - 10) * MB, children=children * MB)
                for name, size, children in (
                    ("interpreter", 20, 0),
                    ("import", 400, 0),
                    ("build", 500, 0),
                    ("training", 880 + 10 * launch, 20),
                )
            ),
            resettable=True,
            device_allocated=None,
            device_reserved=None,
            nvml_device=None,
        ),
        pipeline=pipeline,
        compute=compute,
        loader=loader,
        fine_tunes=(
            FineTune(
                seed=0,
                seconds=130.0 + launch,
                closing_s=0.05,
                evaluation_s=5.5,
                harness_s=0.05,
                elapsed_s=135.6 + launch,
                train_loss=(1.1234, 0.9876),
                train_images=task.train_limit or 50_000,
                test_images=10_000,
                correct=correct,
                right=None if correct is None else encode_correct_images(np.arange(10_000) < correct),
            ),
        ),
        conditions=QUIET,
        proof=proof or (REFERENCE if backend == "pytorch" else PROVEN),
        benchmarks=tuple(benchmark(rounds) for rounds in (pipeline, compute)),
        warnings=tuple(warnings),
        failure=None,
    )


def launches(backend: str, count: int, **fields: object) -> list[Record]:
    """Make `count` launches of one case."""
    return [record(backend, launch, **fields) for launch in range(count)]  # type: ignore[arg-type]


def died(made: Record, phase: str, reason: str, last_lines: Sequence[str]) -> Record:
    """Return a record of the same launch, as if its worker had died in `phase` before anything was measured."""
    empty = dict.fromkeys(("start_up", "memory", "pipeline", "compute", "loader", "conditions", "proof"))
    failure = Failure(phase=phase, reason=reason, last_lines=tuple(last_lines))
    return made.model_copy(update={**empty, "fine_tunes": (), "benchmarks": (), "failure": failure})


def benchmark(rounds: Rounds) -> dict[str, object]:
    """Return an entry as pytest-benchmark writes it in a worker."""
    stats = Stats()
    for seconds in rounds.seconds:
        stats.update(seconds)
    return {
        "group": rounds.kind,
        "name": f"test_{rounds.kind}",
        "fullname": f"bench/worker/measure.py::test_{rounds.kind}",
        "params": None,
        "param": None,
        "extra_info": {"kind": rounds.kind, "images_per_round": rounds.images, "steps_per_round": rounds.steps},
        "options": {"disable_gc": False, "warmup": False},
        "stats": {**stats.as_dict(), "data": stats.data, "iterations": 1},
    }
