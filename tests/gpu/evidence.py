"""What PyTorch computes on a GPU, left in files: `python -m tests.gpu.evidence FOLDER VARIANT...`.

It needs torch, torchvision, timm, NumPy, pydantic, safetensors, scikit-learn and nvidia-ml-py, but no other framework.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import backends
from backends.task import Task, Variant
from bench.worker.evidence import Arrays, gather_evidence
from bench.worker.job import Job
from tests.backends.tasks import TASKS, checkpoint_of, head_of, images_of, order_of
from tests.gpu.variants import REFERENCE, VARIANTS

#: As many images as in a batch: `torch.compile` compiles anew for another size.
IMAGES = 4
STEPS = 8


def main(folder: Path, names: Sequence[str]) -> None:
    backend = backends.load("pytorch")
    for task in (TASKS["frozen"], TASKS["batch_stats"]):
        np.savez(folder / f"{REFERENCE} {task.name}.npz", **evidence(build(backend, task, Variant(threads=2)), task))
    for name in names:
        task_name, variant = VARIANTS[name]
        began = time.perf_counter()
        torch._dynamo.reset()  # it compiles a module's code a few times at most
        try:
            task = TASKS[task_name]
            trainer = build(backend, task, variant)
            np.savez(folder / f"{name}.npz", **evidence(trainer, task))
            found = {"resolved": dataclasses.asdict(trainer.resolved), **facts(trainer, task)}
        except Exception:
            found = {"failed": traceback.format_exc()}
        found["seconds"] = time.perf_counter() - began
        (folder / f"{name}.json").write_text(json.dumps(found))


def build(backend, task: Task, variant: Variant):
    return backend.build(task, variant, checkpoint_of(task), head_of(task))


def evidence(trainer, task: Task) -> Arrays:
    """As a worker gathers it."""
    job = Job.model_construct(proof_images=IMAGES, proof_steps=STEPS)
    return gather_evidence(trainer, images_of(task), order_of(task), checkpoint_of(task), job)


def facts(trainer, task: Task) -> dict[str, object]:
    """What the framework was really set to, and whether features outlive the next batch's."""
    images = images_of(task)[0]
    first, second = (trainer._inputs(images[at : at + IMAGES]) for at in (0, IMAGES))
    features = trainer._features(first)
    before = features.clone()
    other = trainer._features(second)
    memory = trainer.device_memory()
    return {
        "features outlive the next": bool(torch.equal(features, before)) and not torch.equal(features, other),
        "fused": bool(trainer.updates.optimizer.param_groups[0]["fused"]),
        "tf32": [torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32],
        "autotuned": torch.backends.cudnn.benchmark,
        "weights": str(trainer.backbone.conv1.weight.dtype),
        "head": str(trainer.classifier.weight.dtype),
        "allocated": memory.allocated,
    }


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
