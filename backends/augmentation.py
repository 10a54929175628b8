"""Augmentation: the columns of what is drawn for each image in each epoch, and a task's augmentation in words.

The harness draws it (`bench.data.augmentations`), and every backend applies it to pixels in 0..1 or 0..255, after they
are resized and before they are normalised.
"""

from __future__ import annotations

from backends.task import Task

#: The columns of a row: whether the image is flipped, 0 or 1.
FLIP = 0
COLUMNS = 1


def augments(task: Task) -> bool:
    """Whether a task augments its training images."""
    return task.flip


def describe(task: Task) -> list[str]:
    """What a task does to its training images, each in a few words."""
    return ["flips"] if task.flip else []
