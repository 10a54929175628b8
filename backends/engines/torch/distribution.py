"""Training on several devices, as PyTorch's tutorial on DistributedDataParallel (DDP) does it: one process for each."""

from __future__ import annotations

from typing import TypeVar, cast

import torch
import torch.distributed
from torch.nn.parallel import DistributedDataParallel

from backends.task import Variant
from backends.values import Group

Part = TypeVar("Part", bound=torch.nn.Module)


def join(group: Group, variant: Variant) -> None:
    """Join the processes of a case: through gloo on CPUs, and through NCCL on GPUs.

    The variables that torchrun sets are set, so that PyTorch finds the group in them (torch.distributed, "Environment
    variable initialization").
    """
    if torch.device(variant.device).type == "cuda":
        torch.cuda.set_device(group.local_rank)
        torch.distributed.init_process_group("nccl", rank=group.rank, world_size=group.size)
    else:
        torch.distributed.init_process_group("gloo", rank=group.rank, world_size=group.size)


def leave() -> None:
    """Leave the processes of a case."""
    torch.distributed.destroy_process_group()


def exchange_gradients(part: Part, group: Group, device: torch.device) -> Part:
    """Let the processes average the gradients of a module's parameters in each backward pass; alone, nothing changes.

    The module's buffers are not sent: those of a frozen batch normalisation never change.
    """
    if group.size == 1:
        return part
    devices = [device.index] if device.type == "cuda" else None
    return cast(Part, DistributedDataParallel(part, device_ids=devices, broadcast_buffers=False))
