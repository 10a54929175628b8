"""The backend: the contract of `backends.base`, with a frozen network in PyTorch and a head in NumPy."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np

from backends.base import Backend, Trainer, Training
from backends.engines.torch import device, kernels, profiler
from backends.kernels import Kernel
from backends.knobs import check_variant
from backends.task import Task, Variant
from backends.values import DeviceMemory, Event, Head, Order, Tensors, UnsupportedVariant
from numpy_head.backbone import FrozenBackbone
from numpy_head.head import HeadTraining, LinearHead, Loading

NAME = "numpy-head"


class NumpyHeadTrainer(Trainer):
    """`backends.base.Trainer` with a head in NumPy."""

    def __init__(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> None:
        check_variant(NAME, variant, task)
        if variant.device != "cpu":
            raise UnsupportedVariant(f"{NAME} trains on the CPU: use --device cpu")
        self.task, self.variant = task, variant
        self.checkpoint, self.initial_head = checkpoint, head
        place = device.set_up(variant, NAME)
        self.backbone = FrozenBackbone(task)
        self.reset()
        in_force = {"execution": "eager", "layout": "nchw", "gradients": "closed_form"}
        self.resolved = device.resolve(variant, place, "NumPy, one batch at a time", NAME, in_force)

    def reset(self, head: Head | None = None) -> None:
        """See `Trainer.reset`."""
        self.initial_head = head or self.initial_head
        self.backbone.load(self.checkpoint)
        self.linear = LinearHead(self.task, self.initial_head)

    def preprocess(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.preprocess`."""
        return self.backbone.preprocess(images).permute(0, 2, 3, 1).contiguous().numpy()

    def features(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.features`."""
        return self.backbone.compute_features(self.backbone.preprocess(images))

    def logits(self, images: np.ndarray) -> np.ndarray:
        """See `Trainer.logits`."""
        return self.linear.scores(self.features(images))

    def loss_and_gradient(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, Head]:
        """See `Trainer.loss_and_gradient`."""
        return self.linear.loss_and_gradient(self.features(images), labels)

    def step(self, images: np.ndarray, labels: np.ndarray) -> float:
        """See `Trainer.step`."""
        return self.linear.step(self.features(images), labels)

    def start(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start`."""
        return HeadTraining(self.linear, ((self.features(images[at]), labels[at]) for at in order.batches()))

    def start_loading(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_loading`."""
        return Loading(self.backbone.preprocess(images[at]) for at in order.batches())

    def start_on_device(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_device`."""
        batches = [(self.backbone.preprocess(images[at]), labels[at]) for at in order.batches()]
        compute = self.backbone.compute_features
        return HeadTraining(self.linear, ((compute(inputs), labels) for inputs, labels in itertools.cycle(batches)))

    def start_on_features(self, features: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """See `Trainer.start_on_features`."""
        return HeadTraining(self.linear, ((features[at], labels[at]) for at in order.batches()))

    def head_logits(self, features: np.ndarray) -> np.ndarray:
        """See `Trainer.head_logits`."""
        return self.linear.scores(features)

    def head(self) -> Head:
        """See `Trainer.head`."""
        return Head(*(value.copy() for value in self.linear.values))

    def parameters(self) -> dict[str, np.ndarray]:
        """See `Trainer.parameters`."""
        return self.backbone.read(self.checkpoint)

    def reset_device_memory(self) -> None:
        """See `Trainer.reset_device_memory`."""

    def device_memory(self) -> DeviceMemory | None:
        """See `Trainer.device_memory`."""
        return None


class NumpyHead(Backend):
    """The backend `numpy-head`."""

    name = NAME

    def describe_build(self) -> dict[str, str]:
        """See `Backend.describe_build`."""
        return device.describe_build()

    def build(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> Trainer:
        """See `Backend.build`."""
        return NumpyHeadTrainer(task, variant, checkpoint, head)

    def kernel(self, kernel: Kernel, variant: Variant) -> Callable[[int], object]:
        """See `Backend.kernel`: the network's kernels are PyTorch's."""
        return kernels.build(kernel, variant, NAME)

    def profile(self, run: Callable[[], object], folder: str) -> list[Event]:
        """See `Backend.profile`."""
        return profiler.profile(run, folder)


BACKEND = NumpyHead()
