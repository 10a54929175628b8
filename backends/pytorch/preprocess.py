"""Raw images to network inputs."""

from __future__ import annotations

import torch
from torchvision import transforms

from backends.task import DATASETS, Task


def transform(task: Task) -> transforms.Compose:
    """For one image, as the tutorial writes it: (h, w, 3) uint8 to (3, image_size, image_size) float32."""
    return transforms.Compose([transforms.ToTensor(), *_after_scaling(task)])


def batch_transform(task: Task, layout: str) -> transforms.Compose:
    """The same, bit for bit, for many at once, on their device: (n, h, w, 3) uint8 to (n, 3, image_size, image_size)
    float32, laid out as `layout` says.
    """
    memory_format = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}[layout]

    def scaled(images: torch.Tensor) -> torch.Tensor:
        """As `ToTensor`, which takes single images only."""
        return images.permute(0, 3, 1, 2).contiguous(memory_format=memory_format).float().div(255)

    return transforms.Compose([scaled, *_after_scaling(task)])


def _after_scaling(task: Task) -> list[torch.nn.Module]:
    resized = [transforms.Resize(task.image_size, antialias=False)]
    return [
        *(resized if task.image_size != DATASETS[task.dataset][0] else []),
        transforms.Normalize(task.mean, task.std),
    ]
