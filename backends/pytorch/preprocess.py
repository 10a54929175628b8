"""Preprocessing: raw images to network inputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torchvision import transforms
from torchvision.transforms import functional

from backends.augmentation import FLIP, augments
from backends.task import DATASETS, Task

Step = Callable[[torch.Tensor], torch.Tensor]


class AugmentingTransform:
    """Some steps, then an augmentation by the rows that are given, then a normalisation."""

    def __init__(self, task: Task, scale: Callable, augment: Callable[..., torch.Tensor]) -> None:
        *resize, self.normalise = _list_steps_after_scaling(task)
        self.prepare = transforms.Compose([scale, *resize])
        self.task, self.augment = task, augment

    def __call__(self, images: torch.Tensor | np.ndarray, *rows: torch.Tensor | np.ndarray) -> torch.Tensor:
        """Network inputs of raw images, augmented by their rows, if they are given."""
        inputs = self.prepare(images)
        return self.normalise(self.augment(inputs, *rows, self.task) if rows else inputs)


def make_transform(task: Task) -> Callable[..., torch.Tensor]:
    """A function of one image, as in the tutorial: (h, w, 3) uint8 to (3, image_size, image_size) float32; and of its
    row (c,), if the task augments images.
    """
    if augments(task):
        return AugmentingTransform(task, transforms.ToTensor(), augment_image)
    return transforms.Compose([transforms.ToTensor(), *_list_steps_after_scaling(task)])


def make_batch_transform(task: Task, layout: str) -> Callable[..., torch.Tensor]:
    """A function of a batch, on its device: (n, h, w, 3) uint8 to (n, 3, image_size, image_size) float32 in `layout`;
    and of its rows (n, c), if images are to be augmented. Its results are bit-identical to those of `make_transform`.
    """
    memory_format = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}[layout]

    def scale(images: torch.Tensor) -> torch.Tensor:
        """As `ToTensor`, which takes only single images."""
        return images.permute(0, 3, 1, 2).contiguous(memory_format=memory_format).float().div(255)

    if augments(task):
        return AugmentingTransform(task, scale, augment)
    return transforms.Compose([scale, *_list_steps_after_scaling(task)])


def augment_image(image: torch.Tensor, row: np.ndarray, task: Task) -> torch.Tensor:
    """One image (3, h, w) in 0..1, augmented by its row (c,)."""
    if task.flip and row[FLIP]:
        image = functional.hflip(image)
    return image


def augment(images: torch.Tensor, rows: torch.Tensor, task: Task) -> torch.Tensor:
    """Images (n, 3, h, w) in 0..1, each augmented by its row of (n, c)."""
    if task.flip:
        flips = rows[:, FLIP, None, None, None] > 0
        images = torch.where(flips, images.flip(-1), images)
    return images


def _list_steps_after_scaling(task: Task) -> list[torch.nn.Module]:
    resize = [transforms.Resize(task.image_size, antialias=False)]
    return [
        *(resize if task.image_size != DATASETS[task.dataset][0] else []),
        transforms.Normalize(task.mean, task.std),
    ]
