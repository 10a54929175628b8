"""The model: PyTorch's backbone and head, in Lightning's module."""

from __future__ import annotations

from collections.abc import Callable

import pytorch_lightning as pl
import torch
from pytorch_lightning.core.optimizer import LightningOptimizer
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig

from backends.lightning.optimizer import Updates


class FineTune(pl.LightningModule):
    """As in Lightning's transfer-learning guide: a backbone that is frozen and in eval mode, and a linear classifier.
    The task may say otherwise of the backbone; `fit` leaves its mode as it is.
    """

    def __init__(
        self,
        backbone: torch.nn.Module,
        classifier: torch.nn.Module,
        loss: Callable[..., torch.Tensor],
        updates: Updates,
        is_whole_step: bool,
    ) -> None:
        """Put together what is built already.

        Args:
            backbone: images to features.
            classifier: features to class scores.
            loss: mean loss of a batch, through both; its last tensor is the labels.
            updates: their optimizer and scheduler are used, unless `is_whole_step`.
            is_whole_step: whether `loss` also updates the head, which is Lightning's manual optimization.
        """
        super().__init__()
        self.backbone, self.classifier = backbone, classifier
        self.loss, self.optimizer, self.scheduler = loss, updates.optimizer, updates.scheduler
        self.automatic_optimization = not is_whole_step

    def training_step(self, batch: tuple[torch.Tensor, ...], batch_idx: int) -> torch.Tensor:
        """The mean loss of one batch. Lightning computes the gradients and updates, if `loss` has not done so."""
        return self.loss(*batch)

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: torch.optim.Optimizer | LightningOptimizer,
        optimizer_closure: Callable[[], object] | None = None,
    ) -> None:
        """Lightning's, without the update that it makes of what is left over after the last batch."""
        if (batch_idx + 1) % self.trainer.accumulate_grad_batches and optimizer_closure:
            optimizer_closure()
        else:
            super().optimizer_step(epoch, batch_idx, optimizer, optimizer_closure)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """The trainer's optimizer and scheduler, whose momentum and step outlive a `fit`."""
        configured: OptimizerLRSchedulerConfig = {"optimizer": self.optimizer}
        if self.scheduler:
            configured["lr_scheduler"] = {"scheduler": self.scheduler, "interval": "step"}
        return configured
