"""PyTorch's own way: the CIFAR-10 tutorial's loop, on a ResNet-18 frozen as in the transfer-learning tutorial.

https://docs.pytorch.org/tutorials/beginner/blitz/cifar10_tutorial.html
https://docs.pytorch.org/tutorials/beginner/transfer_learning_tutorial.html

A yardstick: it shares no code with `backends`, and does nothing that the task does not ask for.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from torchvision import models, transforms


class Images(Dataset):
    """As `torchvision.datasets.CIFAR10`, but over arrays: image (3, 32, 32) float32 and label."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.data, self.targets = images, labels
        self.transform = transforms.Compose(
            [transforms.ToTensor(), transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]
        )

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(self.data[index]), int(self.targets[index])


def build() -> torch.nn.Module:
    """A frozen ResNet-18 with a new, trainable `fc`."""
    net = models.resnet18(weights=None)
    for parameter in net.parameters():
        parameter.requires_grad = False
    net.fc = torch.nn.Linear(net.fc.in_features, 10)
    return net.eval()  # the task freezes the batch normalisations too


def train(
    net: torch.nn.Module,
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    epochs: int,
    tick: Callable[[], object],
) -> float:
    """Train `fc`; the last epoch's mean loss. `tick` is called after every step."""
    loader = DataLoader(Images(images, labels), batch_size=batch_size, shuffle=True, num_workers=2)
    criterion = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(net.fc.parameters(), lr=0.001, momentum=0.9)
    running_loss = 0.0
    for _ in range(epochs):
        running_loss = 0.0
        for inputs, targets in loader:
            optimizer.zero_grad()
            outputs = net(inputs)
            loss = criterion(outputs, targets)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()
            tick()
    return running_loss / len(loader)


def evaluate(net: torch.nn.Module, images: np.ndarray, labels: np.ndarray, batch_size: int) -> float:
    """The share of images that are classified right."""
    loader = DataLoader(Images(images, labels), batch_size=batch_size, shuffle=False, num_workers=2)
    correct = total = 0
    with torch.no_grad():
        for inputs, targets in loader:
            outputs = net(inputs)
            _, predicted = torch.max(outputs, 1)
            total += targets.size(0)
            correct += (predicted == targets).sum().item()
    return correct / total


def main(
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int = 4,
    epochs: int = 1,
    tick: Callable[[], object] = lambda: None,
) -> float:
    """The whole script."""
    return train(build(), images, labels, batch_size, epochs, tick)


if __name__ == "__main__":
    rng = np.random.default_rng(0)
    drawn = rng.integers(256, size=(4000, 32, 32, 3), dtype=np.uint8)
    began = time.perf_counter()
    mean_loss = main(drawn, rng.integers(10, size=len(drawn)))
    print(f"loss {mean_loss:.3f}, {len(drawn) / (time.perf_counter() - began):,.0f} images/s, start included")
