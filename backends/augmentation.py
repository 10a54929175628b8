"""Augmentation: the columns of what is drawn for each image in each epoch, and a task's augmentation in words.

The harness draws it (`bench.data.augmentations`), and every backend applies it to floating-point pixels that are not
yet normalised, in this order: an image is cropped and resized, or only resized; it is flipped; and its brightness, its
contrast and its saturation are changed, limited to the range of pixels after each.
"""

from __future__ import annotations

from backends.task import Task

#: The columns of a row (c,): whether the image is flipped, 0 or 1; the box of raw pixels that is resized to the image
#: size, whole numbers; and factors.
FLIP, TOP, LEFT, HEIGHT, WIDTH, BRIGHTNESS, CONTRAST, SATURATION = range(8)
COLUMNS = 8
#: What red, green and blue weigh in grey (ITU-R BT.601, with the digits of torchvision's `rgb_to_grayscale`).
GREY = (0.2989, 0.587, 0.114)


def augments(task: Task) -> bool:
    """Whether a task augments its training images."""
    return task.flip or changes_values(task)


def crops(task: Task) -> bool:
    """Whether a task resizes random boxes of its training images."""
    return task.crop_scale < 1


def changes_values(task: Task) -> bool:
    """Whether a task's augmentation computes pixels, and does not only move them."""
    return crops(task) or task.jitter > 0


def describe(task: Task) -> list[str]:
    """What a task does to its training images, each in a few words."""
    parts = ["flips"] if task.flip else []
    parts += [f"crops from {task.crop_scale:g} of the area"] if crops(task) else []
    return [*parts, f"jitter {task.jitter:g}"] if task.jitter else parts
