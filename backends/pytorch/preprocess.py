"""Preprocessing: raw images to network inputs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torchvision import transforms
from torchvision.transforms import functional

from backends.augmentation import (
    BRIGHTNESS,
    CONTRAST,
    FLIP,
    HEIGHT,
    LEFT,
    SATURATION,
    TOP,
    WIDTH,
    augments,
    crops,
)
from backends.task import DATASETS, Task

Step = Callable[[torch.Tensor], torch.Tensor]


class AugmentingTransform:
    """Images are scaled, augmented by the rows that are given, and normalised; they are resized, or cropped so."""

    def __init__(self, task: Task, scale: Callable, augment: Callable[..., torch.Tensor]) -> None:
        *resize, self.normalise = _list_steps_after_scaling(task)
        self.scale, self.resize = scale, transforms.Compose(resize)
        self.task, self.augment = task, augment

    def __call__(self, images: torch.Tensor | np.ndarray, *rows: torch.Tensor | np.ndarray) -> torch.Tensor:
        """Network inputs of raw images, augmented by their rows, if they are given."""
        inputs = self.scale(images)
        if not (rows and crops(self.task)):
            inputs = self.resize(inputs)
        return self.normalise(self.augment(inputs, *rows, self.task) if rows else inputs)


def make_transform(task: Task) -> Callable[..., torch.Tensor]:
    """A function of one image, as in the tutorial: (h, w, 3) uint8 to (3, image_size, image_size) float32; and of its
    row (c,), if the task augments images.
    """
    if augments(task):
        return AugmentingTransform(task, transforms.ToTensor(), augment_image)
    return transforms.Compose([transforms.ToTensor(), *_list_steps_after_scaling(task)])


def make_batch_transform(task: Task, layout: str, dtype: torch.dtype = torch.float32) -> Callable[..., torch.Tensor]:
    """A function of a batch, on its device: (n, h, w, 3) uint8 to (n, 3, image_size, image_size) of a type in `layout`;
    and of its rows (n, c), if images are to be augmented. In float32 its results are bit-identical to those of
    `make_transform`, but for the rounding of crops and of jitter.
    """
    memory_format = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}[layout]

    def scale(images: torch.Tensor) -> torch.Tensor:
        """As `ToTensor`, which takes only single images."""
        return images.permute(0, 3, 1, 2).contiguous(memory_format=memory_format).to(dtype).div(255)

    if augments(task):
        return AugmentingTransform(task, scale, augment)
    return transforms.Compose([scale, *_list_steps_after_scaling(task)])


def augment_image(image: torch.Tensor, row: np.ndarray, task: Task) -> torch.Tensor:
    """One image (3, h, w) in 0..1, augmented by its row (c,)."""
    if crops(task):
        box = [int(row[column]) for column in (TOP, LEFT, HEIGHT, WIDTH)]
        image = functional.resized_crop(image, *box, [task.image_size] * 2, antialias=False)
    if task.flip and row[FLIP]:
        image = functional.hflip(image)
    if task.jitter:
        image = functional.adjust_brightness(image, float(row[BRIGHTNESS]))
        image = functional.adjust_contrast(image, float(row[CONTRAST]))
        image = functional.adjust_saturation(image, float(row[SATURATION]))
    return image


def augment(images: torch.Tensor, rows: torch.Tensor, task: Task) -> torch.Tensor:
    """Images (n, 3, h, w) in 0..1, each augmented by its row of (n, c)."""
    if crops(task):
        images = _resample(images, rows[:, TOP], rows[:, HEIGHT], task.image_size, 2)
        images = _resample(images, rows[:, LEFT], rows[:, WIDTH], task.image_size, 3)
    if task.flip:
        flips = rows[:, FLIP, None, None, None] > 0
        images = torch.where(flips, images.flip(-1), images)
    if task.jitter:
        brightness, contrast, saturation = (
            rows[:, column, None, None, None] for column in (BRIGHTNESS, CONTRAST, SATURATION)
        )
        images = _blend(images, 0, brightness)
        means = functional.rgb_to_grayscale(images).mean((1, 2, 3), keepdim=True)
        images = _blend(images, means, contrast)
        images = _blend(images, functional.rgb_to_grayscale(images), saturation)
    return images


def _resample(images: torch.Tensor, start: torch.Tensor, length: torch.Tensor, side: int, axis: int) -> torch.Tensor:
    """Along an axis of images (n, 3, h, w), `length` (n,) pixels of each from `start` (n,) on, resized to `side`."""
    # Twice the side times a centre's place is a whole number: no framework rounds it in a way of its own.
    length, start = (part[:, None].int() for part in (length, start))
    twice = (2 * torch.arange(side, device=images.device) + 1) * length - side
    twice = torch.minimum(torch.clamp(twice, min=0), 2 * side * (length - 1))
    before = twice // (2 * side)
    after = torch.minimum(before + 1, length - 1)
    share = (twice - before * 2 * side) / (2 * side)
    shape = (1, side, 1) if axis == 2 else (1, 1, side)
    share, first, second = (part.unflatten(1, shape) for part in (share, start + before, start + after))
    first, second = (torch.take_along_dim(images, part.long(), axis) for part in (first, second))
    return first * (1 - share) + second * share


def _blend(images: torch.Tensor, others: torch.Tensor | int, factors: torch.Tensor) -> torch.Tensor:
    return (factors * images + (1 - factors) * others).clamp(0, 1)


def _list_steps_after_scaling(task: Task) -> list[torch.nn.Module]:
    resize = [transforms.Resize(task.image_size, antialias=False)]
    return [
        *(resize if task.image_size != DATASETS[task.dataset][0] else []),
        transforms.Normalize(task.mean, task.std),
    ]
