"""Recipes, each trained over 50 steps by one backend, and faults in them, left in files:
`python -m tests.backends.recipes BACKEND FOLDER`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

import backends
from backends.augmentation import augments
from backends.base import Training
from backends.task import LEAST_EPSILON_OF_STATISTICS, Task, Variant
from backends.values import Order
from bench.data.order import draw_training
from bench.worker.evidence import Arrays, gather_evidence
from bench.worker.job import Job
from tests.backends.evidence import VARIANT, on_features
from tests.backends.recipe_faults import CLIP_NORM, FAULTS, ON_KERAS, OWN_CLIPPING
from tests.backends.tasks import RANDOM, checkpoint_of, head_of, images_of

STEPS = 50
#: That have so many steps, and no more, in batches of 4.
IMAGES, EPOCHS = 40, 5

COSINE: dict[str, Any] = {"schedule": "cosine", "warm_up": 5, "schedule_steps": STEPS}
AUGMENTED: dict[str, Any] = {"flip": True, "crop_scale": 0.3, "jitter": 0.5}
#: A small network: what is followed is the recipe.
SMALL = "timm/test_resnet"
#: Below its head a part of it is trained.
TRAINED: dict[str, Any] = {"backbone": "resnet18", "trainable": "last-stage"}
#: All over the whole of their schedules; so much decay that it shows.
RECIPES = MappingProxyType(
    {
        name: Task(name=name, **RANDOM | {"backbone": SMALL, "batch_size": 4, "learning_rate": 0.01} | fields)
        for name, fields in (
            ("nesterov", {"nesterov": True, "weight_decay": 0.1}),
            ("cosine", {"weight_decay": 0.1, **COSINE}),
            ("step", {"schedule": "step", "schedule_steps": STEPS, "nesterov": True}),
            ("smoothing", {"label_smoothing": 0.2}),
            # Of the twelve updates one half is clipped, and two steps are left over, with a rate that is not 0.
            (
                "accumulation",
                {
                    "accumulate": 4,
                    "clip_norm": CLIP_NORM,
                    "weight_decay": 0.1,
                    "learning_rate": 0.03,
                    **COSINE,
                    "warm_up": 2,
                    "schedule_steps": STEPS // 4 + 1,
                },
            ),
            ("augmented", AUGMENTED),
            ("augmented, resized", {"image_size": 48, **AUGMENTED}),
            # An epsilon that is as large as the moments' roots, so that it shows where it is added.
            ("adamw", {"update_rule": "adamw", "learning_rate": 0.003, "weight_decay": 5.0, "epsilon": 0.1, **COSINE}),
            ("stage, adamw", {**TRAINED, "update_rule": "adamw", "learning_rate": 0.001}),
            (
                "all, adamw",
                {
                    **TRAINED,
                    "trainable": "all",
                    "batch_norm": "batch_stats",
                    "batch_size": 8,
                    "accumulate": 2,
                    "update_rule": "adamw",
                    "learning_rate": 0.001,
                    "epsilon": LEAST_EPSILON_OF_STATISTICS,
                },
            ),
            ("stage", {**TRAINED, "weight_decay": 0.5, "nesterov": True, "warm_up": 2}),
        )
    }
)

#: Variants that compute the update in another way, and the backends that have them.
VARIANTS: MappingProxyType[str, tuple[str, tuple[str, ...], dict[str, Any]]] = MappingProxyType(
    {
        "closed form": ("cosine", ("pytorch", "lightning"), {"gradients": "closed_form"}),
        "closed form, accumulation": ("accumulation", ("pytorch", "lightning"), {"gradients": "closed_form"}),
        "closed form, smoothing": ("smoothing", ("pytorch", "lightning"), {"gradients": "closed_form"}),
        "fused AdamW": ("adamw", ("pytorch",), {"optimizer": "fused"}),
        "fused": ("accumulation", ("pytorch",), {"optimizer": "fused"}),
        "several steps": ("accumulation", ("keras", "tensorflow", "jax"), {"steps_per_execution": "8"}),
        "functional": ("accumulation", ("jax",), {"execution": "functional"}),
        "augmented, uint8": ("augmented", ("pytorch", "lightning", "jax"), {"images": "uint8"}),
        "augmented, resident": ("augmented", ("pytorch", "lightning", "tensorflow", "jax"), {"images": "resident"}),
        "augmented, workers": ("augmented, resized", ("pytorch",), {"workers": "2"}),
        "augmented, several steps": ("augmented", ("keras", "tensorflow", "jax"), {"steps_per_execution": "8"}),
    }
)


#: Gradients of two tensors whose norm, 1e-6, is as large as what PyTorch adds to it, and what they are clipped at.
SMALL_GRADIENTS = (np.array([[6e-7, 0.0]], np.float32), np.array([8e-7], np.float32))
SMALL_NORM = 5e-7


def clip_small_gradients(name: str) -> Arrays:
    """The gradients as a backend clips them that does not call PyTorch's own function."""
    task = RECIPES["cosine"].model_copy(update={"clip_norm": SMALL_NORM})
    if name in ON_KERAS:
        import keras

        from backends import keras_optimizers

        gradients = list(map(keras.ops.convert_to_tensor, SMALL_GRADIENTS))
        clipped = keras_optimizers.make_optimizer(task)._clip_gradients(gradients)
    else:
        import optax

        from backends.jax import optimizer

        clipped, _ = optimizer._clip(SMALL_NORM).update(list(SMALL_GRADIENTS), optax.EmptyState())
    kernel, bias = map(np.asarray, clipped)
    return {"kernel": kernel, "bias": bias}


def is_cached(task: Task) -> bool:
    """Whether the recipe can be followed on cached features."""
    return not task.trained and not augments(task)


def main(name: str, folder: Path) -> None:
    backend = backends.load(name)

    def gather(title: str, task: Task, variant: Variant = VARIANT, on_cached: bool = False) -> None:
        trainer = backend.build(task, variant, checkpoint_of(task), head_of(task))
        begin = partial(on_features, trainer, task) if on_cached else None
        np.savez(folder / f"{title}.npz", **evidence(trainer, task, begin))

    for task in RECIPES.values():
        gather(task.name, task)
        if is_cached(task):
            gather(f"{task.name}, cached", task, VARIANT.model_copy(update={"features": "cached"}), on_cached=True)
    for title, (recipe, having, knobs) in VARIANTS.items():
        if name in having:
            gather(title, RECIPES[recipe], VARIANT.model_copy(update=knobs))
    for title, fault in FAULTS.items():
        if name in fault.backends:
            with fault.plant():
                gather(title, RECIPES[fault.recipe])
    if name in OWN_CLIPPING:
        np.savez(folder / "small gradients.npz", **clip_small_gradients(name))


def evidence(trainer: Any, task: Task, begin: Callable[[Order], Training] | None) -> Arrays:
    job = Job.model_construct(proof_images=8, proof_steps=STEPS)
    # All of the steps of what accumulates them, so that some are left over at the end.
    images, epochs = (IMAGES, EPOCHS) if task.accumulate > 1 and not task.trained else (96, 3)
    order = draw_training(images, task.model_copy(update={"epochs": epochs}), task.seed)
    return gather_evidence(trainer, images_of(task), order, checkpoint_of(task), job, begin)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
