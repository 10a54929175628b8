"""The planted faults: a backend's trainer, given something else from outside. The proof of sameness must find each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np

from backends.base import Backend, Trainer, Training
from backends.task import Task
from backends.values import Head, Order
from bench.conformance.small_tasks import VARIANT, Inputs

#: Keras' epsilon in place of torchvision's: the difference is added to every running variance.
EPSILON_DIFFERENCE = 1e-3 - 1e-5


@dataclass(frozen=True)
class Fault:
    """One fault.

    Attributes:
        named: the checks of the proof of which one must fail.
        images, labels, order: change what is given; the order only to the input pipeline.
        pipeline_only: whether images are changed only for the input pipeline.
        task: changes the task that is built.
        checkpoint: changes the weights that are built; the trainer says that they are the right ones.
        last_loss: whether the loss of several steps is that of the last one.
    """

    named: tuple[str, ...]
    images: Callable[[np.ndarray], np.ndarray] | None = None
    labels: Callable[[np.ndarray], np.ndarray] | None = None
    order: Callable[[Order], Order] | None = None
    pipeline_only: bool = False
    task: Callable[[Task], Task] | None = None
    checkpoint: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] | None = None
    last_loss: bool = False

    def build(self, backend: Backend, trainer: Trainer, inputs: Inputs) -> Any:
        """A trainer with the fault: `trainer` where that is enough, else one that is built anew."""
        task, checkpoint = trainer.task, inputs.checkpoint
        if self.task or self.checkpoint:
            altered = self.checkpoint(checkpoint) if self.checkpoint else checkpoint
            trainer = backend.build(self.task(task) if self.task else task, VARIANT, altered, inputs.head)
        return FaultyTrainer(self, trainer, inputs)


class FaultyTrainer:
    """A trainer with a fault around it; what is not here is the trainer's own."""

    def __init__(self, fault: Fault, trainer: Trainer, inputs: Inputs) -> None:
        self._fault, self._trainer, self._inputs = fault, trainer, inputs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._trainer, name)

    def preprocess(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.preprocess`."""
        return self._trainer.preprocess(self._change_images(images))

    def features(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.features`."""
        return self._trainer.features(self._change_images(images))

    def logits(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.logits`."""
        return self._trainer.logits(self._change_images(images))

    def loss_and_gradient(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, Head]:
        """See `Trainer.loss_and_gradient`."""
        return self._trainer.loss_and_gradient(self._change_images(images), self._change_labels(labels))

    def step(self, images: np.ndarray, labels: np.ndarray) -> float:
        """See `Trainer.step`."""
        return self._trainer.step(self._change_images(images), self._change_labels(labels))

    def parameters(self) -> dict[str, np.ndarray]:
        """See `Trainer.parameters`."""
        return dict(self._inputs.checkpoint) if self._fault.checkpoint else self._trainer.parameters()

    def start(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Any:
        """See `Trainer.start`."""
        images = self._change_images(images, in_pipeline=True)
        order = self._fault.order(order) if self._fault.order else order
        training = self._trainer.start(images, self._change_labels(labels), order)
        return LastLoss(training) if self._fault.last_loss else training

    def _change_images(self, images: np.ndarray, in_pipeline: bool = False) -> np.ndarray:
        if self._fault.images is None or (self._fault.pipeline_only and not in_pipeline):
            return images
        return np.ascontiguousarray(self._fault.images(images))

    def _change_labels(self, labels: np.ndarray) -> np.ndarray:
        return self._fault.labels(labels) if self._fault.labels else labels


class LastLoss(Training):
    """A training that reports the loss of the last step for the mean of all."""

    def __init__(self, training: Training) -> None:
        self._training = training

    def advance(self, steps: int) -> float:
        """See `Training.advance`."""
        return [self._training.advance(1) for _ in range(steps)][-1]

    def close(self) -> None:
        """See `Training.close`."""
        self._training.close()


def _shuffle(order: Order) -> Order:
    shuffled = np.random.default_rng(1).permuted(order.permutations, axis=1)
    return Order(shuffled, order.batch_size, order.drop_last)


def _raise_variances(checkpoint: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {
        name: tensor + np.float32(EPSILON_DIFFERENCE) if name.endswith("running_var") else tensor
        for name, tensor in checkpoint.items()
    }


#: By item.
FAULTS = MappingProxyType(
    {
        "fault: another order of images": Fault(("pipeline order", "pipeline loss"), order=_shuffle),
        "fault: mirrored images": Fault(
            ("pipeline order", "pipeline loss"), images=lambda images: images[:, :, ::-1], pipeline_only=True
        ),
        "fault: swapped channels": Fault(("preprocessing", "features"), images=lambda images: images[..., ::-1]),
        "fault: shifted labels": Fault(("first loss", "losses"), labels=lambda labels: (labels + 1) % 10),
        "fault: another epsilon": Fault(("features", "logits"), checkpoint=_raise_variances),
        "fault: no momentum": Fault(
            ("losses", "trajectory"), task=lambda task: task.model_copy(update={"momentum": 0.0})
        ),
        "fault: another learning rate": Fault(
            ("losses", "trajectory"),
            task=lambda task: task.model_copy(update={"learning_rate": 1.05 * task.learning_rate}),
        ),
        "fault: loss of the last step": Fault(("pipeline loss",), last_loss=True),
    }
)
