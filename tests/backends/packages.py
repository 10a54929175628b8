"""Packages for tests: laid out in a folder, as an installer would, with an entry point in `headtohead.tasks`."""

from __future__ import annotations

from pathlib import Path

HEADER = """
from backends.backbones import Backbone
from backends.task_entries import DatasetEntry, TaskEntries
"""
#: Entries of a task on a network and a data set of its own; `make` returns eight images.
ENTRIES = """
ENTRIES = TaskEntries(
    tasks={"ours": {"backbone": "resnet10", "weights": "ours-v1", "dataset": "dots", "image_size": 32}},
    backbones=(Backbone("resnet10", "resnet", 512, ("ours-v1",), "basic", (1, 1, 1, 1)),),
    datasets={"dots": DatasetEntry(4, 3, "MODULE_content:make", "made here")},
    checkpoints={"ours-v1": "MODULE_content:find"},
)
"""
CONTENT = """
import os
import numpy as np

def make():
    images, labels = np.zeros((8, 4, 4, 3), np.uint8), np.arange(8) % 3
    return images, labels, images[:4], labels[:4]

def find():
    return os.environ["OURS"]
"""


def install(site: Path, distribution: str, entries: str = ENTRIES, content: str = CONTENT) -> None:
    """Lay out a distribution in a folder, which is then put in PYTHONPATH.

    Args:
        entries: code that makes `ENTRIES`; the module with the functions is called `MODULE_content` there.
        content: code of that module.
    """
    module = distribution.replace("-", "_")
    information = site / f"{module}-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[headtohead.tasks]\n{module} = {module}_entries:ENTRIES\n")
    (site / f"{module}_entries.py").write_text(HEADER + entries.replace("MODULE", module))
    (site / f"{module}_content.py").write_text(content)
