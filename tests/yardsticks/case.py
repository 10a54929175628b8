"""The case that the targets are measured on: the standard suite's task, with random weights and images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from backends.task import Task, Variant
from bench import checkpoints, suite
from bench.environment import usable_cores
from bench.tasks import TASKS
from bench.worker.job import Job

#: Enough that no epoch of a script ends within its rounds: ours has none that end.
IMAGES = 20_000
TASK = Task.model_validate({**TASKS["cifar10-resnet18"].model_dump(), "weights": "random"})
ROUND_SECONDS = suite.load("standard").round_seconds
BACKENDS = ("pytorch", "tensorflow", "keras")


def write_images(folder: Path, images: int = IMAGES) -> Path:
    """Random uint8 images and labels as a worker reads them; the file."""
    rng = np.random.default_rng(0)
    data = folder / "data.safetensors"
    arrays = {}
    for part, n in (("train", images), ("test", 8)):
        arrays[f"{part}_images"] = rng.integers(256, size=(n, 32, 32, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = rng.integers(10, size=n, dtype=np.int64)
    save_file(arrays, data)
    return data


def job(backend: str, data: Path, rounds: int) -> Job:
    """A launch that measures rounds and nothing else; its folder is made beside the data."""
    number = sum(1 for _ in data.parent.iterdir())
    folder = data.parent / f"{number:03}-{backend}"
    folder.mkdir()
    return Job(
        case=f"{backend}-default-{TASK.name}",
        backend=backend,
        task=TASK,
        variant=Variant(threads=usable_cores()),
        data=data,
        scratch=folder,
        checkpoint=checkpoints.obtain(TASK, progress=False).folder.absolute(),
        folder=folder,
        proof_images=1,
        proof_steps=0,
        rounds=rounds,
        seeds=(),
        descriptor=-1,
    )


def reported_seconds(job: Job) -> list[float]:
    """The raw rounds in pytest-benchmark's file of a finished job, in seconds."""
    benchmarks = json.loads((job.folder / "benchmark.json").read_text())["benchmarks"]
    return [seconds for benchmark in benchmarks for seconds in benchmark["stats"]["data"]]
