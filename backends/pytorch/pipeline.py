"""The input pipeline: a DataLoader with worker processes, as PyTorch's CIFAR-10 tutorial sets it up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from backends.base import Order

#: As in the tutorial: `DataLoader(trainset, batch_size=4, shuffle=True, num_workers=2)`.
WORKERS = 2
DESCRIPTIONS = {
    "streamed": f"DataLoader, {WORKERS} workers, one image at a time",
    "resident": "all images on the device, one batch at a time",
}


class Images(Dataset):
    """Labelled images, transformed one at a time when they are asked for."""

    def __init__(self, images: np.ndarray, labels: np.ndarray, transform: Callable) -> None:
        self.images, self.labels, self.transform = images, labels, transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.images[index]), int(self.labels[index])


def loader(images: np.ndarray, labels: np.ndarray, order: Order, transform: Callable) -> DataLoader:
    """Batches of `order`: inputs (b, 3, s, s) float32 and labels (b,) int64, in host memory."""
    batches = [batch.tolist() for batch in order.batches()]
    return DataLoader(Images(images, labels, transform), batch_sampler=batches, num_workers=WORKERS)


def resident(
    images: np.ndarray, labels: np.ndarray, order: Order, transform: Callable, device: torch.device
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Batches of `order`, taken and transformed on the device, where all images lie as they are."""
    all_images, all_labels = torch.from_numpy(images).to(device), torch.from_numpy(labels.astype(np.int64)).to(device)
    for batch in order.batches():
        indices = torch.from_numpy(batch).to(device)
        yield transform(all_images[indices]), all_labels[indices]
