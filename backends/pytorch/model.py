"""The frozen backbone: built, loaded from the checkpoint, and read back."""

from __future__ import annotations

import numpy as np
import timm
import torch
import torchvision

from backends.base import Tensors
from backends.task import Task


def build(task: Task) -> torch.nn.Module:
    """The backbone up to its pooled features (n, d), with every parameter frozen."""
    if task.network.family == "resnet":
        backbone = torchvision.models.get_model(task.backbone, weights=None)
        backbone.fc = torch.nn.Identity()
    else:
        backbone = timm.create_model(task.network.architecture, pretrained=False, num_classes=0)
    backbone.requires_grad_(False)
    # In train mode a frozen batch normalisation still normalises by the batch and moves its statistics.
    return backbone.train(task.batch_norm == "batch_stats")


def load(backbone: torch.nn.Module, checkpoint: Tensors) -> None:
    """Copy the checkpoint into the backbone."""
    state = {name: torch.from_numpy(np.array(tensor)) for name, tensor in checkpoint.items()}
    counters = {name: torch.zeros_like(t) for name, t in backbone.state_dict().items() if _is_counter(name)}
    backbone.load_state_dict(state | counters)


def read(backbone: torch.nn.Module) -> dict[str, np.ndarray]:
    """The backbone's tensors, named as in the checkpoint."""
    state = backbone.state_dict()
    return {name: t.detach().cpu().numpy().copy() for name, t in state.items() if not _is_counter(name)}


def _is_counter(name: str) -> bool:
    """PyTorch counts the batches a normalisation has seen; nothing reads it at a constant momentum."""
    return name.endswith("num_batches_tracked")
