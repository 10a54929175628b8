"""The package's task, with its network and its data set. It imports no framework, and no images are made here."""

from backends.backbones import Backbone
from backends.task_entries import DatasetEntry, TaskEntries

ENTRIES = TaskEntries(
    tasks={
        "shapes-resnet10": {
            "backbone": "resnet10",
            "weights": "random",
            "dataset": "shapes",
            "image_size": 32,
            "batch_size": 16,
            "epochs": 3,
            "learning_rate": 0.01,
        }
    },
    backbones=(Backbone("resnet10", "resnet", 512, (), "basic", (1, 1, 1, 1)),),
    datasets={
        "shapes": DatasetEntry(
            side=16,
            classes=8,
            load="numpy_head.shapes:draw",
            source="drawn by headtohead-numpy-head 1.0",
            fingerprint="3081b599960f35c2",
        )
    },
)
