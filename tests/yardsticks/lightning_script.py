"""Lightning's own way: the guide to transfer learning, `Trainer.fit` over a DataLoader.

https://lightning.ai/docs/pytorch/stable/advanced/transfer_learning.html

The extractor is frozen by being in eval mode and outside the graph of gradients, as there. The optimizer has only the
parameters of the classifier, and nothing is logged or saved.

A yardstick: it shares no code with `backends`, and does nothing that the task does not ask for.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np
import pytorch_lightning as pl
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


class ImagenetTransferLearning(pl.LightningModule):
    """A frozen ResNet-18 without its last layer, and a new, trainable one."""

    def __init__(self) -> None:
        super().__init__()
        backbone = models.resnet18(weights=None)
        self.feature_extractor = torch.nn.Sequential(*list(backbone.children())[:-1]).requires_grad_(False).eval()
        self.classifier = torch.nn.Linear(backbone.fc.in_features, 10)
        self.losses: list[torch.Tensor] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.feature_extractor.eval()
        with torch.no_grad():
            representations = self.feature_extractor(x).flatten(1)
        return self.classifier(representations)

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
        images, labels = batch
        loss = torch.nn.functional.cross_entropy(self(images), labels)
        self.losses.append(loss.detach())
        return loss

    def on_train_epoch_start(self) -> None:
        self.losses.clear()

    def predict_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
        images, labels = batch
        return self(images).argmax(1) == labels

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.classifier.parameters(), lr=0.001, momentum=0.9)


class Tick(pl.Callback):
    """Calls `tick` after every step."""

    def __init__(self, tick: Callable[[], object]) -> None:
        self.tick = tick

    def on_train_batch_end(self, *_: object) -> None:
        self.tick()


def build() -> ImagenetTransferLearning:
    """The model."""
    return ImagenetTransferLearning()


def make_trainer(epochs: int, *callbacks: pl.Callback) -> pl.Trainer:
    """Lightning's trainer, on the CPU, which writes no files and shows nothing."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=list(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def train(
    model: ImagenetTransferLearning,
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int,
    epochs: int,
    tick: Callable[[], object],
) -> float:
    """Train the classifier; the last epoch's mean loss. `tick` is called after every step."""
    loader = DataLoader(Images(images, labels), batch_size=batch_size, shuffle=True, num_workers=2)
    make_trainer(epochs, Tick(tick)).fit(model, loader)
    return torch.stack(model.losses).mean().item()


def evaluate(model: ImagenetTransferLearning, images: np.ndarray, labels: np.ndarray, batch_size: int) -> float:
    """The share of images that are classified right."""
    loader = DataLoader(Images(images, labels), batch_size=batch_size, shuffle=False, num_workers=2)
    correct = make_trainer(1).predict(model, loader)
    return torch.cat(correct).float().mean().item()


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
