"""The training step, and training as a whole."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytorch_lightning as pl
import torch

from backends import knobs
from backends.base import Backend, Trainer, Training
from backends.engines.torch import distribution
from backends.kernels import Kernel
from backends.lightning import device as devices
from backends.lightning import kernels, model, pipeline, profiler
from backends.lightning.head import FeatureBatches
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

    def step(self, images: np.ndarray, labels: np.ndarray) -> float:
        """See `Trainer.step`; one step of a `fit` that has no end."""
        self.batch = self._share(images, labels)
        self.singly = self.singly or self._fit(pipeline.Batches(self._handed_batches))
        return self.singly.advance(1)

    def start(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start`."""
        if self.variant.images in pipeline.ON_THE_DEVICE:
            return self._fit(pipeline.Batches(lambda: self._batches(images, labels, order), order.steps))
        loss = self._loss_of_raw if self.variant.images == "uint8" else self._loss_in_fit
        return self._fit(self._loader(images, labels, order.share(self.group)), loss)

    def start_on_device(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_device`."""
        own = order.share(self.group).batches()
        batches = [(self._inputs(images[batch]), self._labels(labels[batch])) for batch in own]
        return self._fit(pipeline.Batches(lambda: itertools.cycle(batches)))

    def start_on_features(self, features: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_features`."""
        return self._fit(FeatureBatches(features, labels, order.share(self.group), self.device), self._loss_on_features)

    def _fit(self, batches: object, loss: Callable | None = None) -> Fit:
        tuned = model.FineTune(self.backbone, self.classifier, loss or self._loss_in_fit, self.optimizer)
        return Fit(tuned, batches, self.device, self.group)

    def _handed_batches(self) -> Iterator[Batch]:
        while True:
            yield self.batch

    def _loss_in_fit(self, inputs: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.criterion(self.classifier(self._features(inputs)), labels)

    def _loss_of_raw(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self._loss_in_fit(self.batch_transform(images), labels)

    def _loss_on_features(self, features: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return self.criterion(self.classifier(features), labels)


#: A closed `fit` ends within milliseconds, or waits for the processes of its DataLoader.
CLOSE_SECONDS = 10.0


class _Closed(Exception):
    """Ends `fit` when training is closed before the order's end."""


class Fit(Training, pl.Callback):
    """One `fit` over the whole order, in a thread of its own. It waits after a step while no steps are requested.

    `fit` cannot be paused, but a callback can block in `on_train_batch_end`. The whole order is one of Lightning's
    epochs, so that nothing restarts at the harness' epochs. Only a main thread gets Lightning's signal handlers.
    """

    def __init__(self, module: pl.LightningModule, batches: object, device: torch.device, group: Group) -> None:
        """Start `fit`, which waits for the first steps.

        Args:
            module: to be trained, on the device.
            batches: of the order, an iterable with a length.
            device: that `fit` moves each batch to.
            group: of processes that train together.
        """
        super().__init__()
        self._ahead = len(batches)  # type: ignore[arg-type]
        self._left = 0
        self._losses: list[torch.Tensor] = []
        self._sizes: list[int] = []
        self._loss = 0.0
        self._closed = self._ended = False
        self._error: BaseException | None = None
        self._gate = threading.Condition()
        fitting = pl.Trainer(
            accelerator="cpu" if device.type == "cpu" else "gpu",
            devices=1 if device.type == "cpu" else [device.index or 0],
            strategy=devices.choose_strategy(device, group),
            use_distributed_sampler=False,  # each process has its share of the order already
            max_epochs=1,
            callbacks=[self],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            plugins=[devices.JoinedProcesses(group)],  # not a cluster's, whose variables may be set
        )
        self._thread = threading.Thread(target=self._fit, args=(fitting, module, batches), name="fit", daemon=True)
        self._thread.start()

    def advance(self, steps: int) -> float:
        """See `Training.advance`."""
        if steps > self._ahead:
            raise StopIteration
        self._ahead -= steps
        with self._gate:
            self._left = steps
            self._gate.notify_all()
            self._gate.wait_for(lambda: self._left == -1 or self._ended)
        if self._error:
            raise self._error
        if self._left > 0:
            raise StopIteration
        return self._loss

    def close(self) -> None:
        """See `Training.close`."""
        with self._gate:
            self._closed = True
            self._gate.notify_all()
        self._thread.join(CLOSE_SECONDS)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Wait for the first steps."""
        with self._gate:
            self._wait()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: object, batch: object, batch_idx: int
    ) -> None:
        """Continue while steps are left; otherwise report the loss and wait."""
        self._losses.append(outputs["loss"])  # type: ignore[index]
        self._sizes.append(len(batch[1]))  # type: ignore[index]
        self._left -= 1
        if self._left == 0:
            with self._gate:
                self._report()
                self._wait()

    def _report(self) -> None:
        """Report that the requested steps are done. All losses are read once: reading one waits for the device."""
        self._loss = float(np.average(torch.stack(self._losses).cpu().numpy(), weights=self._sizes))
        self._losses, self._sizes = [], []
        self._left = -1
        self._gate.notify_all()

    def _wait(self) -> None:
        self._gate.wait_for(lambda: self._left > 0 or self._closed)
        if self._closed:
            raise _Closed

    def _fit(self, fitting: pl.Trainer, module: pl.LightningModule, batches: object) -> None:
        try:
            fitting.fit(module, batches)
        except _Closed:
            pass
        except BaseException as error:  # raised again by `advance`, in the thread that waits there
            self._error = error
        with self._gate:
            self._ended = True
            self._gate.notify_all()


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
