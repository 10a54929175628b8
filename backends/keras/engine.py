"""The contract between the Keras trainer and the engine that Keras runs on, and what several engines have in common."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import keras
import numpy as np

from backends.augmentation import augments
from backends.base import Training
from backends.extraction import ExtractionForm, Extractor
from backends.image_files import ImageFiles
from backends.keras import batches
from backends.kernels import Kernel
from backends.task import Task, Variant
from backends.values import DeviceMemory, Event, Group, Order, Resolved, UnsupportedVariant

#: An array of the engine, on its device.
Tensor = Any
#: Trains one step on features (b, d), labels (b,) and weights (b,), which add up to 1; returns the weighted loss.
HeadStep = Callable[[Tensor, Tensor, Tensor], Tensor]


class Engine(ABC):
    """An engine of Keras. One that has no input pipeline of its own in Keras has that of `backends.keras.batches`.

    Attributes:
        backend: the name of the backend on this engine.
        executions: arguments of `compile`, by the variant's execution.
        pipelines: the input pipeline in a few words, by the knob `images`.
        resizes_in_model: whether images are resized by the model's first layer, and not in the input pipeline.
    """

    backend: str
    executions: ClassVar[Mapping[str | None, Mapping[str, bool]]]
    pipelines: ClassVar[Mapping[str, str]] = batches.DESCRIPTIONS
    resizes_in_model = True

    def resizes_in_model_of(self, task: Task) -> bool:
        """Whether a task's images are resized by the model. They are augmented in the input pipeline, and resized
        before.
        """
        return self.resizes_in_model and not augments(task)

    def compile_transform(self, transform: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """The function that augments images in an input pipeline that is not the engine's own."""
        return transform

    @abstractmethod
    def set_up(self, variant: Variant) -> None:
        """Apply the variant to the process. It must run before the engine first uses a device."""

    def join(self, group: Group, variant: Variant) -> None:
        """See `Backend.join`. An engine that can join a group has also the methods below up to `read_loss`."""
        raise UnsupportedVariant(f"{self.backend} cannot train on several devices: use --devices 1")

    def leave(self) -> None:
        """See `Backend.leave`."""
        return None

    def distribute(self) -> AbstractContextManager:
        """The context in which a model is made and trained, in each thread."""
        return nullcontext()

    def share(self, order: Order) -> Order:
        """This process' part of an order; all of it in a process that is alone."""
        return order

    def take_share(self, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
        """This process' part of the images and labels of one batch."""
        return arrays

    def join_shares(self, *arrays: Tensor) -> tuple[Tensor, ...]:
        """The arrays of a whole batch, from this process' part of them."""
        return arrays

    def read_loss(self, loss: Tensor) -> float:
        """A loss that `compute_gradients` returned; in a group, that of this process' part."""
        return float(loss)

    @abstractmethod
    def find_execution(self, model: keras.Model, variant: Variant) -> str:
        """The value of the knob `execution` that is in force in the compiled model."""

    @abstractmethod
    def resolve(self, variant: Variant, model: keras.Model, input_pipeline: str, in_force: dict[str, str]) -> Resolved:
        """Describe how the variant runs on this machine; `in_force` are the values of knobs as the model has them."""

    @abstractmethod
    def describe_build(self) -> dict[str, str]:
        """See `Backend.describe_build`."""

    @abstractmethod
    def reset_memory(self) -> None:
        """See `Trainer.reset_device_memory`."""

    @abstractmethod
    def read_memory(self) -> DeviceMemory | None:
        """See `Trainer.device_memory`."""

    @abstractmethod
    def build_kernel(self, kernel: Kernel, variant: Variant) -> Callable[[int], object]:
        """See `Backend.kernel`."""

    @abstractmethod
    def profile(self, run: Callable[[], object], folder: str) -> list[Event]:
        """See `Backend.profile`."""

    @abstractmethod
    def to_device(self, array: np.ndarray) -> Tensor:
        """The array on the device."""

    def add_bias(self, values: Tensor, bias: Tensor) -> Tensor:
        """The sum of values (n, c) and bias (c,)."""
        return keras.ops.add(values, bias)

    @abstractmethod
    def compile_function(
        self, variant: Variant, function: Callable[..., Tensor], variables: Sequence[keras.Variable]
    ) -> Callable[..., Tensor]:
        """A function of arrays as the variant executes it, without gradients.

        Args:
            variables: all that the function reads or assigns.
        """

    @abstractmethod
    def compute_gradients(
        self,
        loss: Callable[..., Tensor],
        arrays: Sequence[Tensor],
        variables: Sequence[keras.Variable],
        others: Sequence[keras.Variable] = (),
    ) -> tuple[Tensor, Sequence[Tensor]]:
        """A loss, and its gradients with respect to variables.

        Args:
            loss: a function of `arrays`.
            others: the other variables that the loss reads.
        """

    def make_loader(
        self,
        images: np.ndarray | ImageFiles,
        labels: np.ndarray,
        order: Order,
        transform: Callable,
        classes: int,
        known_length: bool = True,
    ) -> Iterable:
        """An input pipeline of the batches of `order`, for `fit`: images as `transform` prepares them, and labels.

        With `known_length` Keras knows the number of batches, and plans its calls by it. The pipeline of `batches`
        always tells it, and leaves the images to the model, unless they are augmented.
        """
        readable = batches.FilesByIndex(images) if isinstance(images, ImageFiles) else images
        if order.augmentations is not None:
            return batches.AugmentedBatches(readable, labels, order, classes, transform, self.to_device)
        return batches.Batches(readable, labels, order, classes)

    def decode(self, files: ImageFiles) -> np.ndarray:
        """Decode files as the input pipeline does: (n, crop, crop, 3) uint8."""
        return batches.FilesByIndex(files)[np.arange(len(files))]

    def make_resident_loader(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        order: Order,
        transform: Callable,
        classes: int,
        known_length: bool = True,
    ) -> Iterable:
        """A loader of the same batches. All images are transformed before training, and taken by their indices."""
        resident = self.keep_resident(batches.normalise_all(images, transform))
        return batches.Batches(resident, labels, order, classes)

    def keep_resident(self, array: np.ndarray) -> Any:
        """Put normalised images, or learning rates, where a step takes its own from: by default in host memory."""
        return array

    def start_loading(self, loader: Any) -> Training:
        """See `Trainer.start_loading`."""
        return batches.Loading(loader, self.to_device)

    @abstractmethod
    def start_on_features(
        self,
        step: HeadStep,
        variant: Variant,
        variables: Sequence[keras.Variable],
        data: tuple[np.ndarray, np.ndarray],
        order: Order,
    ) -> Training:
        """See `Trainer.start_on_features`.

        Args:
            variables: all that the step reads or assigns.
            data: features (n, d) and labels (n,).
        """

    @abstractmethod
    def list_extraction_forms(self, task: Task, variant: Variant) -> tuple[ExtractionForm, ...]:
        """See `Trainer.list_extraction_forms`."""

    @abstractmethod
    def make_extractor(self, model: keras.Model, transform: Callable, task: Task, form: ExtractionForm) -> Extractor:
        """Make a form of extraction of a model, from images as `transform` prepares them to features (n, d)."""

    def update_variables(self, model: keras.Model) -> None:
        """Bring to the model's variables what `fit` keeps elsewhere while it runs. The device's work is then done."""
        return None

    def free(self) -> None:
        """Free what a closed `fit` has left."""
        return None
