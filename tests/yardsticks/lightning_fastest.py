"""The fastest training by hand that is still Lightning's: a frozen ResNet-18 and a trained last layer in `Trainer.fit`.

Without Lightning's loop it would be PyTorch's fastest loop, so that the model is the same: folded, with products, in
the form that is the quickest here. `Trainer(barebones=True)` has everything switched off that costs time
(https://lightning.ai/docs/pytorch/stable/common/trainer.html#barebones). The optimisation is manual, so that the last
layer's gradient and update can be written down. Normalised images lie in memory as one tensor, and the trainer iterates
over rows.

A yardstick: it shares no code with `backends`.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytorch_lightning as pl
import torch
from torch.nn import functional

from tests.yardsticks.pytorch_fastest import CLASSES, FEATURES, LEARNING_RATE, MOMENTUM, build, quickest


class Rows:
    """The rows of each batch of an epoch, in a new order each time. It has a length, so that none is fetched ahead."""

    def __init__(self, images: int, batch_size: int) -> None:
        self.images, self.batch_size = images, batch_size

    def __len__(self) -> int:
        return self.images // self.batch_size

    def __iter__(self) -> Iterator[torch.Tensor]:
        return iter(torch.randperm(self.images).split(self.batch_size)[: len(self)])


class FineTune(pl.LightningModule):
    """The head, and its step in closed form."""

    def __init__(self, backbone: Callable, resident: torch.Tensor, labels: torch.Tensor) -> None:
        super().__init__()
        self.automatic_optimization = False
        # In a list, so that Lightning does not take the backbone for a part of the module, and change its mode.
        self.frozen, self.resident, self.labels, self.one_hot = [backbone], resident, labels, torch.eye(CLASSES)
        bound = FEATURES**-0.5
        self.weight = torch.empty(CLASSES, FEATURES).uniform_(-bound, bound)
        self.bias = torch.empty(CLASSES).uniform_(-bound, bound)
        self.moved, self.moved_bias = torch.zeros_like(self.weight), torch.zeros_like(self.bias)
        self.losses: list[torch.Tensor] = []

    def on_train_epoch_start(self) -> None:
        self.losses.clear()

    @torch.inference_mode()
    def training_step(self, rows: torch.Tensor, batch_idx: int) -> None:
        features = self.frozen[0](self.resident[rows].permute(0, 3, 1, 2)).float()
        expected = self.labels[rows]
        scores = torch.log_softmax(torch.addmm(self.bias, features, self.weight.t()), 1)
        self.losses.append(functional.nll_loss(scores, expected))
        wrong = scores.exp_().sub_(self.one_hot[expected]).div_(len(rows))
        self.weight.sub_(self.moved.mul_(MOMENTUM).add_(wrong.t() @ features), alpha=LEARNING_RATE)
        self.bias.sub_(self.moved_bias.mul_(MOMENTUM).add_(wrong.sum(0)), alpha=LEARNING_RATE)

    def configure_optimizers(self) -> None:
        """None: the step is its own."""


class Tick(pl.Callback):
    """Calls `tick` after every step."""

    def __init__(self, tick: Callable[[], object]) -> None:
        self.tick = tick

    def on_train_batch_end(self, *_: object) -> None:
        self.tick()


def main(
    images: np.ndarray,
    labels: np.ndarray,
    batch_size: int = 128,
    epochs: int = 1,
    tick: Callable[[], object] = lambda: None,
) -> float:
    """Train; the mean loss of the last epoch."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    resident = torch.from_numpy(images).float().div_(127.5).sub_(1)  # (n, h, w, 3), which is channels_last
    dtype, backbone = quickest(build(), resident[:batch_size].permute(0, 3, 1, 2))
    module = FineTune(backbone, resident.to(dtype), torch.from_numpy(labels))
    trainer = pl.Trainer(accelerator="cpu", max_epochs=epochs, barebones=True, callbacks=[Tick(tick)])
    trainer.fit(module, Rows(len(images), batch_size))
    return torch.stack(module.losses).mean().item()
