"""Raw images to network inputs."""

from __future__ import annotations

from torchvision import transforms

from backends.task import DATASETS, Task


def transform(task: Task) -> transforms.Compose:
    """For one image: (h, w, 3) uint8 to (3, image_size, image_size) float32, scaled, resized, normalised."""
    steps = [transforms.ToTensor()]
    if task.image_size != DATASETS[task.dataset][0]:
        steps.append(transforms.Resize(task.image_size, antialias=False))
    steps.append(transforms.Normalize(task.mean, task.std))
    return transforms.Compose(steps)
