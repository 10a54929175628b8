"""PyTorch's process settings and memory counters, Lightning's silence, and how a variant is resolved in `lightning`."""

from __future__ import annotations

import dataclasses
import logging
import warnings

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy, SingleDeviceStrategy
from pytorch_lightning.utilities import rank_zero_only
from pytorch_lightning.utilities.warnings import PossibleUserWarning

from backends.pytorch.device import describe_build, read_memory, reset_memory
from backends.values import Group, Resolved

__all__ = [
    "JoinedProcesses",
    "choose_strategy",
    "describe_build",
    "read_memory",
    "reset_memory",
    "resolve",
    "set_up",
]


class KeptOnDevice(SingleDeviceStrategy):
    """Lightning's strategy for one device. It leaves model and optimizer there when a `fit` ends: they are still used,
    and a recorded CUDA graph knows only their place.
    """

    def teardown(self) -> None:
        """Does nothing; Lightning's moves both to the CPU."""


class KeptOnDevices(DDPStrategy):
    """Lightning's strategy `ddp` in a process that has joined its group already; see `KeptOnDevice`.

    The buffers are not sent: those of a frozen batch normalisation never change.
    """

    def __init__(self, device: torch.device, group: Group) -> None:
        super().__init__(parallel_devices=[device], broadcast_buffers=False)
        self._device, self._group = device, group

    @property
    def root_device(self) -> torch.device:
        """The device of this process."""
        return self._device

    def set_world_ranks(self) -> None:
        """Tell Lightning the number of this process, which would follow from the devices of a whole machine."""
        rank_zero_only.rank = self._group.rank

    def teardown(self) -> None:
        """Does nothing; Lightning's moves model and optimizer to the CPU."""


class JoinedProcesses(LightningEnvironment):
    """Lightning's environment of processes that someone else has started, one for each device."""

    def __init__(self, group: Group) -> None:
        super().__init__()
        self._group = group

    @property
    def creates_processes_externally(self) -> bool:
        """True: Lightning starts none."""
        return True

    def world_size(self) -> int:
        """The group's size."""
        return self._group.size

    def global_rank(self) -> int:
        """The number of this process."""
        return self._group.rank

    def local_rank(self) -> int:
        """Its number on this machine."""
        return self._group.local_rank


Strategy = KeptOnDevice | KeptOnDevices


def choose_strategy(device: torch.device, group: Group) -> Strategy:
    """The strategy of a `fit`: for one device, or `ddp` for the processes of a group."""
    if group.size == 1:
        return KeptOnDevice(device)
    return KeptOnDevices(device, group)


def set_up() -> None:
    """Let Lightning log no hints, give no advice (that a DataLoader could have more workers, for example), and not warn
    of what it uses of PyTorch's that is deprecated.
    """
    for name in ("pytorch_lightning", "lightning_fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", category=PossibleUserWarning)
    warnings.filterwarnings("ignore", category=FutureWarning, module="pytorch_lightning")


def resolve(pytorch: Resolved) -> Resolved:
    """Describe how the variant runs on this machine.

    Args:
        pytorch: the same, of the backend `pytorch`.
    """
    versions = {**pytorch.versions, "pytorch-lightning": pl.__version__}
    return dataclasses.replace(pytorch, framework="lightning on torch", versions=versions)
