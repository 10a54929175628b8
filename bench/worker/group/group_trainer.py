"""The trainer of a case that trains on several devices: each call is made in all processes, in the same order."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np

from backends.base import Trainer, Training
from backends.extraction import ExtractionForm, Extractor
from backends.image_files import ImageFiles
from backends.values import DeviceMemory, Head, Order
from bench.worker.group.peers import Peers

#: The numbers of the trainings, by which the peers know them.
_NUMBERS = itertools.count()


class GroupTrainer(Trainer):
    """`backends.base.Trainer` in all processes of a case.

    Losses are the mean over the processes, whose shares of a batch are equal; other values are those of this process,
    which is process 0. Features to be cached are extracted by this process alone.

    Attributes:
        losses: of the last call that trained: each process' own.
    """

    def __init__(self, own: Trainer, peers: Peers) -> None:
        self._own, self._peers = own, peers
        self.task, self.variant, self.resolved = own.task, own.variant, own.resolved
        self.losses: tuple[float, ...] = ()

    def preprocess(self, images: np.ndarray, *rows: np.ndarray) -> np.ndarray:
        """See `Trainer.preprocess`."""
        return self._call("preprocess", images, *rows)[0]

    def features(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.features`."""
        return self._call("features", images)[0]

    def list_extraction_forms(self) -> Sequence[ExtractionForm]:
        """See `Trainer.list_extraction_forms`."""
        return self._own.list_extraction_forms()

    def make_extractor(self, form: ExtractionForm) -> Extractor:
        """See `Trainer.make_extractor`."""
        return self._own.make_extractor(form)

    def logits(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.logits`."""
        return self._call("logits", images)[0]

    def loss_and_gradient(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, Head]:
        """See `Trainer.loss_and_gradient`; the mean over the processes."""
        found = self._call("loss_and_gradient", images, labels)
        self.losses = tuple(loss for loss, _ in found)
        kernels, biases = zip(*(gradient for _, gradient in found), strict=True)
        return float(np.mean(self.losses)), Head(np.mean(kernels, axis=0), np.mean(biases, axis=0))

    def backbone_gradient(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """See `Trainer.backbone_gradient`."""
        return self._call("backbone_gradient", images, labels)[0]

    def step(self, images: np.ndarray, labels: np.ndarray, *rows: np.ndarray) -> float:
        """See `Trainer.step`."""
        return self.note_losses(self._call("step", images, labels, *rows))

    def start(self, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start`."""
        return self._start("start", images, labels, order)

    def start_loading(self, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_loading`."""
        return self._start("start_loading", images, labels, order)

    def start_on_device(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_device`."""
        return self._start("start_on_device", images, labels, order)

    def start_on_features(self, features: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_features`."""
        return self._start("start_on_features", features, labels, order)

    def head_logits(self, features: np.ndarray) -> np.ndarray:
        """See `Trainer.head_logits`."""
        return self._call("head_logits", features)[0]

    def head(self) -> Head:
        """See `Trainer.head`."""
        return self.heads()[0]

    def heads(self) -> list[Head]:
        """The head of each process; all are the same."""
        return self._call("head")

    def parameters(self) -> dict[str, np.ndarray]:
        """See `Trainer.parameters`."""
        return self._call("parameters")[0]

    def reset(self, head: Head | None = None) -> None:
        """See `Trainer.reset`."""
        self._call("reset", head)

    def reset_device_memory(self) -> None:
        """See `Trainer.reset_device_memory`."""
        self._call("reset_device_memory")

    def device_memory(self) -> DeviceMemory | None:
        """See `Trainer.device_memory`; that of the device whose peak is the highest."""
        return max(filter(None, self._call("device_memory")), default=None)

    def note_losses(self, losses: Sequence[float]) -> float:
        """Keep the losses of the processes; returns their mean."""
        self.losses = tuple(losses)
        return float(np.mean(losses))

    def _call(self, name: str, *arguments: Any) -> list[Any]:
        found = self._peers.make_calls(lambda: getattr(self._own, name)(*arguments), "call", name, *arguments)
        self.resolved = self._own.resolved
        return found

    def _start(self, name: str, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order) -> Training:
        number, own = next(_NUMBERS), self._peers.share.take_order(order)
        training = self._peers.call(
            lambda: getattr(self._own, name)(images, labels, own), "start", number, name, images, labels, order
        )
        self.resolved = self._own.resolved
        return GroupTraining(self, training, self._peers, number)


class GroupTraining(Training):
    """`backends.base.Training` in all processes of a case."""

    def __init__(self, trainer: GroupTrainer, own: Training, peers: Peers, number: int) -> None:
        self._trainer, self._own, self._peers, self._number = trainer, own, peers, number

    def advance(self, steps: int) -> float:
        """See `Training.advance`; the mean over the processes, when all are done."""
        losses = self._peers.make_calls(lambda: self._own.advance(steps), "advance", self._number, steps)
        return self._trainer.note_losses(losses)

    def close(self) -> None:
        """See `Training.close`."""
        self._peers.call(self._own.close, "close", self._number)
