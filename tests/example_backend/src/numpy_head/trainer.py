"""The backend: the contract of `backends.base`, with a frozen network in PyTorch and a head in NumPy."""

import itertools
from collections.abc import Callable, Iterable, Iterator

import numpy as np

from backends.base import Backend, Trainer, Training
from backends.engines.torch import device, kernels, profiler
from backends.kernels import Kernel
from backends.knobs import check_variant
from backends.task import Task, Variant
from backends.values import DeviceMemory, Event, Head, Order, Tensors, UnsupportedVariant
from numpy_head.backbone import FrozenBackbone
from numpy_head.head import LinearHead

NAME = "numpy-head"


class Steps(Training):
    """Steps that are computed when they are asked for: between two calls nothing runs."""

    def __init__(self, steps: Iterator[tuple[float, int]]) -> None:
        self.steps = steps  # of each step the mean loss and the number of images

    def advance(self, steps: int) -> float:
        losses, sizes = zip(*[next(self.steps) for _ in range(steps)], strict=True)
        return float(np.average(losses, weights=sizes))

    def close(self) -> None:
        self.steps = iter(())


class NumpyHeadTrainer(Trainer):
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
        self.initial_head = head or self.initial_head
        self.backbone.load(self.checkpoint)
        self.linear = LinearHead(self.task, self.initial_head)

    def preprocess(self, images: np.ndarray) -> np.ndarray:
        return self.backbone.preprocess(images).permute(0, 2, 3, 1).contiguous().numpy()

    def features(self, images: np.ndarray) -> np.ndarray:
        return self.backbone.compute_features(self.backbone.preprocess(images))

    def logits(self, images: np.ndarray) -> np.ndarray:
        return self.head_logits(self.features(images))

    def head_logits(self, features: np.ndarray) -> np.ndarray:
        return self.linear.scores(features)

    def loss_and_gradient(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, Head]:
        return self.linear.loss_and_gradient(self.features(images), labels)

    def step(self, images: np.ndarray, labels: np.ndarray) -> float:
        return self.linear.step(self.features(images), labels)

    def start(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        return self._train((self.features(images[at]), labels[at]) for at in order.batches())

    def start_loading(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        return Steps((0.0, len(self.backbone.preprocess(images[at]))) for at in order.batches())

    def start_on_device(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        batches = [(self.backbone.preprocess(images[at]), labels[at]) for at in order.batches()]
        compute = self.backbone.compute_features
        return self._train((compute(inputs), labels) for inputs, labels in itertools.cycle(batches))

    def start_on_features(self, features: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        return self._train((features[at], labels[at]) for at in order.batches())

    def _train(self, batches: Iterable[tuple[np.ndarray, np.ndarray]]) -> Training:
        return Steps((self.linear.step(features, labels), len(labels)) for features, labels in batches)

    def head(self) -> Head:
        return Head(*(value.copy() for value in self.linear.values))

    def parameters(self) -> dict[str, np.ndarray]:
        return self.backbone.read(self.checkpoint)

    def reset_device_memory(self) -> None:
        pass

    def device_memory(self) -> DeviceMemory | None:
        return None


class NumpyHead(Backend):
    name = NAME

    def describe_build(self) -> dict[str, str]:
        return device.describe_build()

    def build(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> Trainer:
        return NumpyHeadTrainer(task, variant, checkpoint, head)

    def kernel(self, kernel: Kernel, variant: Variant) -> Callable[[int], object]:
        return kernels.build(kernel, variant, NAME)

    def profile(self, run: Callable[[], object], folder: str) -> list[Event]:
        return profiler.profile(run, folder)


BACKEND = NumpyHead()
