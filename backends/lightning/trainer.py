"""The training step, and training as a whole."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sized

import numpy as np
import pytorch_lightning as pl
import torch

from backends import knobs
from backends.base import Backend, Trainer, Training
from backends.engines.torch import distribution
from backends.image_files import ImageFiles
from backends.kernels import Kernel
from backends.lightning import device as devices
from backends.lightning import kernels, model, pipeline, profiler
from backends.lightning.head import FeatureBatches
from backends.paused_fit import PausedFit
from backends.pytorch.trainer import ALONE, Batch, PyTorchTrainer
from backends.task import Task, Variant
from backends.values import Event, Group, Head, Order, Tensors


class LightningTrainer(PyTorchTrainer):
    """`backends.base.Trainer` in Lightning: PyTorch's model and loader, trained with `Trainer.fit`."""

    singly: Fit | None = None  # makes the steps of `step`
    batch: Batch  # of its next step

    def __init__(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head, group: Group = ALONE) -> None:
        knobs.check_variant("lightning", variant, task)
        devices.set_up()
        super().__init__(task, variant, checkpoint, head, group)
        self.resolved = devices.resolve(self.resolved)

    def reset(self, head: Head | None = None) -> None:
        """See `Trainer.reset`."""
        if self.singly:
            self.singly.close()
        self.singly = None
        super().reset(head)

    def step(self, images: np.ndarray, labels: np.ndarray, *rows: np.ndarray) -> float:
        """See `Trainer.step`; one step of a `fit` that has no end."""
        self.batch = self._share(images, labels, *rows)
        self.singly = self.singly or self._fit(pipeline.Batches(self._handed_batches))
        return self.singly.advance(1)

    def start(self, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start`."""
        if self.variant.images in pipeline.ON_THE_DEVICE:
            return self._fit(pipeline.Batches(lambda: self._batches(images, labels, order), order.steps))
        loss = self._loss_of_raw if self.variant.images == "uint8" else self._loss_in_fit
        return self._fit(self._loader(images, labels, order.share(self.group)), loss)

    def start_on_device(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_device`."""
        own = order.share(self.group).augmented_batches()
        batches = [(self._inputs(images[batch], *rows), self._labels(labels[batch])) for batch, *rows in own]
        return self._fit(pipeline.Batches(lambda: itertools.cycle(batches)))

    def start_on_features(self, features: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_features`."""
        return self._fit(FeatureBatches(features, labels, order.share(self.group), self.device), self._loss_on_features)

    def _fit(self, batches: Sized, loss: Callable | None = None) -> Fit:
        loss = loss or self._loss_in_fit
        is_whole_step = self.head_step is not None and loss != self._loss_on_features
        tuned = model.FineTune(self.backbone, self.classifier, loss, self.updates, is_whole_step)
        return Fit(tuned, batches, self.device, self.group, None if is_whole_step else self.task)

    def _handed_batches(self) -> Iterator[Batch]:
        while True:
            yield self.batch

    def _loss_in_fit(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        if self.head_step:
            return self.train_step(inputs, labels)
        return self.criterion(self.classifier(self._features(inputs)), labels)

    def _loss_of_raw(self, *batch: torch.Tensor) -> torch.Tensor:
        *images, labels = batch
        return self._loss_in_fit(self.batch_transform(*images), labels)

    def _loss_on_features(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.criterion(self.classifier(features), labels)


class Fit(PausedFit, pl.Callback):
    """Pauses in `on_train_batch_end`. The whole order is one of Lightning's epochs, so that nothing restarts at the
    harness' epochs. Only a main thread gets Lightning's signal handlers.
    """

    def __init__(
        self,
        module: pl.LightningModule,
        batches: Sized,
        device: torch.device,
        group: Group,
        task: Task | None,
    ) -> None:
        """Start `fit`, which waits for the first steps.

        Args:
            module: to be trained, on the device.
            batches: of the order, an iterable with a length.
            device: that `fit` moves each batch to.
            group: of processes that train together.
            task: whose gradients Lightning clips and accumulates; None if the module makes the whole step.
        """
        self._accumulate = task.accumulate if task else 1
        self._losses: list[torch.Tensor] = []
        self._sizes: list[int] = []
        fitting = pl.Trainer(
            accelerator="cpu" if device.type == "cpu" else "gpu",
            devices=1 if device.type == "cpu" else [device.index or 0],
            strategy=devices.choose_strategy(device, group),
            use_distributed_sampler=False,  # each process has its share of the order already
            max_epochs=1,
            gradient_clip_val=task.clip_norm if task else None,
            accumulate_grad_batches=self._accumulate,
            callbacks=[self],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            plugins=[devices.JoinedProcesses(group)],  # not a cluster's, whose variables may be set
        )
        super().__init__(lambda: fitting.fit(module, batches), len(batches))

    def read_loss(self) -> float:
        """See `PausedFit.read_loss`. All losses are read once: reading one waits for the device. Lightning has divided
        them by the number of steps that it accumulates.
        """
        loss = float(np.average(torch.stack(self._losses).cpu().numpy(), weights=self._sizes)) * self._accumulate
        self._losses, self._sizes = [], []
        return loss

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait for the first steps."""
        with self.gate:
            self.wait()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Continue while steps are left; otherwise report the loss and wait."""
        self._losses.append(outputs["loss"])  # type: ignore[index]
        self._sizes.append(len(batch[1]))  # type: ignore[index]
        self.left -= 1
        if self.left == 0:
            with self.gate:
                self.report()
                self.wait()


class Lightning(Backend):
    """The backend `lightning`."""

    name = "lightning"
    group = ALONE

    def join(self, group: Group, variant: Variant) -> None:
        """See `Backend.join`."""
        distribution.join(group, variant)
        self.group = group

    def leave(self) -> None:
        """See `Backend.leave`."""
        distribution.leave()
        self.group = ALONE

    def describe_build(self) -> dict[str, str]:
        """See `Backend.describe_build`."""
        return devices.describe_build()

    def build(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> Trainer:
        """See `Backend.build`."""
        return LightningTrainer(task, variant, checkpoint, head, self.group)

    def kernel(self, kernel: Kernel, variant: Variant) -> Callable[[int], object]:
        """See `Backend.kernel`."""
        return kernels.build(kernel, variant)

    def profile(self, run: Callable[[], object], folder: str) -> list[Event]:
        """See `Backend.profile`."""
        return profiler.profile(run, folder)
