"""The case that the targets are measured on: the standard suite's task, with random weights and images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

import backends
from backends.task import Task, Variant
from bench.data.dataset import Dataset
from bench.machine.environment import count_usable_cores
from bench.plan import suite
from bench.plan.prepared_task import PreparedTask
from bench.plan.task_table import TASKS
from bench.weights import checkpoints
from bench.worker.job import Job

#: So many that no epoch of a script ends within its rounds; the harness's rounds contain no end of an epoch either.
IMAGES = 20_000
TASK = Task.model_validate({**TASKS["cifar10-resnet18"].model_dump(), "weights": "random"})
ROUND_SECONDS = suite.load("standard").round_seconds
#: All of this project's.
BACKENDS = tuple(backends.REGISTRY.own)
#: Those that the suites measure together by default.
TOGETHER = suite.DEFAULT_BACKENDS


def task(**overrides: Any) -> Task:
    """`TASK` with some of its fields replaced."""
    return Task.model_validate({**TASK.model_dump(), **overrides})


def write_images(folder: Path, images: int = IMAGES, test_images: int = 8) -> Path:
    """Random uint8 images and labels as a worker reads them; the file."""
    rng = np.random.default_rng(0)
    data = folder / "data.safetensors"
    arrays = {}
    for part, n in (("train", images), ("test", test_images)):
        arrays[f"{part}_images"] = rng.integers(256, size=(n, 32, 32, 3), dtype=np.uint8)
        arrays[f"{part}_labels"] = rng.integers(10, size=n, dtype=np.int64)
    save_file(arrays, data)
    return data


def prepared(task: Task, data: Path) -> PreparedTask:
    """A task with the images of a worker's file."""
    dataset = Dataset(task.dataset, **load_file(data), source="random")
    return PreparedTask(task, (), dataset, checkpoints.obtain(task, progress=False), fine_tune=False)


def variant(**knobs: str) -> Variant:
    """The default on all cores with some knobs set; it is named after their values."""
    return Variant.model_validate(
        {"threads": count_usable_cores(), "name": "+".join(knobs.values()) or "default", **knobs}
    )


def job(backend: str, data: Path, rounds: int, task: Task = TASK, variant: Variant | None = None, **more: Any) -> Job:
    """A launch that measures rounds and nothing else; its folder is made beside the data.

    Args:
        more: other fields of the job.
    """
    chosen = variant or Variant(threads=count_usable_cores())
    number = sum(1 for _ in data.parent.iterdir())
    folder = data.parent / f"{number:03}-{backend}"
    folder.mkdir()
    return Job.model_validate(
        {
            "case": f"{backend}-{chosen.name}-{task.name}",
            "backend": backend,
            "task": task,
            "variant": chosen,
            "data": data,
            "scratch": folder,
            "checkpoint": checkpoints.obtain(task, progress=False).folder.absolute(),
            "folder": folder,
            "proof_images": 1,
            "proof_steps": 0,
            "rounds": rounds,
            "seeds": (),
            "descriptor": -1,
            **more,
        }
    )


def reported_seconds(job: Job) -> list[float]:
    """The raw rounds in pytest-benchmark's file of a finished job, in seconds."""
    benchmarks = json.loads((job.folder / "benchmark.json").read_text())["benchmarks"]
    return [seconds for benchmark in benchmarks for seconds in benchmark["stats"]["data"]]
