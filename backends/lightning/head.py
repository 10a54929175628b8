"""Training of the head on features that were computed before: Lightning's loop over batches of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from backends.values import Order

Batch = tuple[torch.Tensor, torch.Tensor]


class FeatureBatches:
    """The batches of an order, taken from features (n, d) and labels (n,) that lie on the device. It has a length, so
    that Lightning fetches none ahead.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, order: Order, device: torch.device) -> None:
        self.features = torch.from_numpy(features).to(device)
        self.labels = torch.from_numpy(labels.astype(np.int64)).to(device)
        self.batches = [torch.from_numpy(batch).to(device) for batch in order.batches()]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return ((self.features[batch], self.labels[batch]) for batch in self.batches)
