"""Preprocessing: raw images to network inputs."""

from __future__ import annotations

import torch
from torchvision import transforms

from backends.task import DATASETS, Task


def make_transform(task: Task) -> transforms.Compose:
    """A function of one image, as in the tutorial: (h, w, 3) uint8 to (3, image_size, image_size) float32."""
    return transforms.Compose([transforms.ToTensor(), *_list_steps_after_scaling(task)])


def make_batch_transform(task: Task, layout: str) -> transforms.Compose:
    """A function of a batch, on its device: (n, h, w, 3) uint8 to (n, 3, image_size, image_size) float32 in `layout`.
    Its results are bit-identical to those of `make_transform`.
    """
    memory_format = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}[layout]

    def scale(images: torch.Tensor) -> torch.Tensor:
        """As `ToTensor`, which takes only single images."""
        return images.permute(0, 3, 1, 2).contiguous(memory_format=memory_format).float().div(255)

    return transforms.Compose([scale, *_list_steps_after_scaling(task)])


def _list_steps_after_scaling(task: Task) -> list[torch.nn.Module]:
    resize = [transforms.Resize(task.image_size, antialias=False)]
    return [
        *(resize if task.image_size != DATASETS[task.dataset][0] else []),
        transforms.Normalize(task.mean, task.std),
    ]
