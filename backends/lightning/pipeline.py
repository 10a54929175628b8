"""The input pipeline: PyTorch's DataLoader, or an iterable where there is none; Lightning's `fit` takes both."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import torch

from backends.pytorch.pipeline import ON_THE_DEVICE

__all__ = ["ON_THE_DEVICE", "Batches"]

Batch = tuple[torch.Tensor, torch.Tensor]


class Batches:
    """Batches without a loader, for example from the device's memory. It has a length, so that Lightning fetches none
    ahead.
    """

    def __init__(self, begin: Callable[[], Iterator[Batch]], steps: int = sys.maxsize) -> None:
        """Describe batches.

        Args:
            begin: starts with the first one.
            steps: number of batches; by default they have no end.
        """
        self.begin, self.steps = begin, steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Batch]:
        return self.begin()
