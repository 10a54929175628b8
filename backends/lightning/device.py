"""PyTorch's process settings and memory counters, Lightning's silence, and how a variant is resolved in `lightning`."""

from __future__ import annotations

import dataclasses
import logging
import warnings

import pytorch_lightning as pl
from pytorch_lightning.strategies import SingleDeviceStrategy
from pytorch_lightning.utilities.warnings import PossibleUserWarning

from backends.pytorch.device import describe_build, read_memory, reset_memory
from backends.values import Resolved

__all__ = ["KeptOnDevice", "describe_build", "read_memory", "reset_memory", "resolve", "set_up"]


class KeptOnDevice(SingleDeviceStrategy):
    """Lightning's strategy for one device. It leaves model and optimizer there when a `fit` ends: they are still used,
    and a recorded CUDA graph knows only their place.
    """

    def teardown(self) -> None:
        """Does nothing; Lightning's moves both to the CPU."""


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
