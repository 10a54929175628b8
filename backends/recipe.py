"""The training recipe: the learning rate of each update, which every framework follows, and the recipe in words."""

from __future__ import annotations

import numpy as np

from backends import augmentation
from backends.task import Task

#: The schedule `step` multiplies the rate by this after each third of its steps, as the ResNets were trained: by a
#: tenth at 30 and 60 of 90 epochs (docs.pytorch.org/vision/stable/models.html; references/classification of
#: torchvision: `--lr-step-size 30 --lr-gamma 0.1 --epochs 90`).
STEP_FACTOR, STEP_PARTS = 0.1, 3
#: `torch.nn.utils.clip_grad_norm_` adds this to the norm that it divides by (its documentation has the formula).
CLIP_EPSILON = 1e-6


def follows_schedule(task: Task) -> bool:
    """Whether the learning rate changes from update to update."""
    return task.schedule != "constant" or task.warm_up > 0


def list_learning_rates(task: Task) -> np.ndarray:
    """The learning rate (updates,) float64 of each update of a training; the last one is that of all further ones.

    An update is that of one step, or of so many as the task accumulates. In a warm-up of w updates, update k, counted
    from 0, has (k + 1) / (w + 1) of the task's rate, so that none is without effect and update w is the first with all
    of it. The schedule takes the updates that are left: `cosine` is (1 + cos(pi t / n)) / 2 at update t of n
    (Loshchilov and Hutter, "SGDR", 2017, equation 5, without restarts), which is 0 after the last one.

    Raises:
        ValueError: the number of steps is not known.
    """
    warm_up = np.arange(1, task.warm_up + 1) / (task.warm_up + 1)
    if task.schedule == "constant":
        return task.learning_rate * np.append(warm_up, 1.0)
    if task.schedule_steps is None:
        raise ValueError(f"schedule {task.schedule!r} needs a number of steps: set schedule_steps")
    steps = task.schedule_steps - task.warm_up
    done = np.arange(steps + 1) / steps
    if task.schedule == "cosine":
        return task.learning_rate * np.append(warm_up, (1 + np.cos(np.pi * done)) / 2)
    parts = np.minimum(np.arange(steps + 1) * STEP_PARTS // steps, STEP_PARTS - 1)
    return task.learning_rate * np.append(warm_up, STEP_FACTOR**parts)


def is_named(task: Task) -> bool:
    """Whether a recipe is more than SGD with momentum at a constant rate, on unchanged images, so that tables name
    it.
    """
    return (
        task.update_rule != "sgd"
        or task.nesterov
        or task.weight_decay > 0
        or task.clip_norm is not None
        or task.accumulate > 1
        or task.label_smoothing > 0
        or follows_schedule(task)
        or augmentation.augments(task)
    )


def describe(task: Task) -> str:
    """The recipe in a few words, without batch size and epochs: what differs from plain SGD is named."""
    if task.update_rule == "sgd":
        parts = [f"SGD {task.learning_rate:g}", f"{'Nesterov ' if task.nesterov else ''}momentum {task.momentum:g}"]
    else:
        parts = [f"AdamW {task.learning_rate:g}", f"betas {task.beta1:g} and {task.beta2:g}, epsilon {task.epsilon:g}"]
    if task.weight_decay:
        parts.append(f"weight decay {task.weight_decay:g}")
    if task.clip_norm:
        parts.append(f"gradients clipped at {task.clip_norm:g}")
    if task.accumulate > 1:
        parts.append(f"updates of {task.accumulate} steps")
    if task.label_smoothing:
        parts.append(f"label smoothing {task.label_smoothing:g}")
    if task.schedule != "constant":
        parts.append(task.schedule)
    if task.warm_up:
        parts.append(f"{task.warm_up} {task.update_unit} of warm-up")
    parts += augmentation.describe(task)
    return ", ".join(parts)
