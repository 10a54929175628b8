"""Training on several devices, as PyTorch's tutorial on DistributedDataParallel (DDP) does it: one process for each."""

from __future__ import annotations

from typing import TypeVar, cast

import torch
from torch.nn.parallel import DistributedDataParallel

from backends.values import Group

Part = TypeVar("Part", bound=torch.nn.Module)


def exchange_gradients(part: Part, group: Group, device: torch.device) -> Part:
    """Let the processes average the gradients of a module's parameters in each backward pass; alone, nothing changes.

    The module's buffers are not sent: those of a frozen batch normalisation never change.
    """
    if group.size == 1:
        return part
    devices = [device.index] if device.type == "cuda" else None
    return cast(Part, DistributedDataParallel(part, device_ids=devices, broadcast_buffers=False))
