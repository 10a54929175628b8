"""The contract between the harness and a framework. A new backend needs this module and `backends.values`.

NumPy arrays go in, NumPy arrays come out. A backend opens no file, reads no clock, prints nothing and draws nothing at
random. (One exception: a profiler may write its file into the folder that it is given.) The harness gives it the
checkpoint's tensors, the head's initial values and the order of images, and measures it from outside. Shapes: n images
of h x w pixels; d features; c classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import numpy as np

from backends.exported.network_graph import NetworkGraph
from backends.extraction import ExtractionForm, Extractor, choose_batch_size
from backends.image_files import ImageFiles
from backends.kernels import Kernel
from backends.task import Task, Variant
from backends.values import DeviceMemory, Event, Group, Head, Order, Resolved, Tensors, UnsupportedVariant


class Training(ABC):
    """A training run over an `Order`. It pauses between calls: the harness decides when it continues."""

    @abstractmethod
    def advance(self, steps: int) -> float:
        """Train on the next `steps` batches; return their mean loss per image once the device is done.

        Raises:
            StopIteration: the order has fewer than `steps` batches left.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop the input pipeline and free its resources. It may be called twice."""


class Trainer(ABC):
    """A built task: backbone and head on a device. The backbone is frozen, except for what the task trains.

    Images are (n, h, w, 3) uint8, raw.
    """

    task: Task
    variant: Variant
    resolved: Resolved

    @abstractmethod
    def preprocess(self, images: np.ndarray, *rows: np.ndarray) -> np.ndarray:
        """Network inputs (n, image_size, image_size, 3) float32: scaled to 0..1, resized, normalised.

        With `rows` (n, c), of `Order.augmentations`, they are augmented before they are normalised. A backend without
        `augmentations` in its entry is never given rows, here and in `step`, nor an order that has some.
        """

    def decode(self, files: ImageFiles) -> np.ndarray:
        """Decode image files as the input pipeline of the variant does; returns (n, crop, crop, 3) uint8.

        Raises:
            UnsupportedVariant: the backend's input pipeline reads no files: its knob `images` has no value `encoded`.
        """
        raise UnsupportedVariant(f"{type(self).__name__} decodes no files")

    @abstractmethod
    def features(self, images: np.ndarray) -> np.ndarray:
        """Pooled features (n, d) float32 of one batch, computed as in a training step."""

    def exact_features(self, images: np.ndarray) -> np.ndarray | None:
        """The same in double precision, (n, d) float64; None where the backend does not compute them.

        Only the reference of the proof needs them, and only of a network that was exported: what it loses itself in
        single precision is no difference between frameworks.
        """
        return None

    def list_extraction_forms(self) -> Sequence[ExtractionForm]:
        """The forms in which this backend can compute the features of many images. The first is made most quickly.

        Each has the variant's precision and device; execution, folding and layout are the backend's to choose. The
        features must agree with those of `features` within the tolerances of the proof. The harness times the forms.
        """
        return (ExtractionForm("as in training", self.variant, choose_batch_size(self.task, self.variant), 0.0),)

    def make_extractor(self, form: ExtractionForm) -> Extractor:
        """Make one of these forms. Called only with batch norm `frozen`, before any training.

        Raises:
            Exception: the form cannot be made on this machine. The first form can always be made.
        """
        return self.features

    @abstractmethod
    def logits(self, images: np.ndarray) -> np.ndarray:
        """Class scores (n, c) float32 of one batch.

        In batch-norm mode `batch_stats` the batch is normalised by its own statistics and the running statistics move,
        as in a PyTorch model that is never put in eval mode.
        """

    @abstractmethod
    def loss_and_gradient(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, Head]:
        """Mean cross-entropy of one batch and its gradient with respect to the head; changes no parameter."""

    def backbone_gradient(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """The gradient of the same loss with respect to the backbone's trained tensors (`task.trained`), named and laid
        out as in `Backbone.tensors`. Empty for a backend that trains only heads.
        """
        return {}

    @abstractmethod
    def step(self, images: np.ndarray, labels: np.ndarray, *rows: np.ndarray) -> float:
        """Train one step on one batch, augmented by `rows` (n, c), if there are any; returns its mean loss before the
        update.
        """

    @abstractmethod
    def start(self, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order) -> Training:
        """Begin training through the framework's own input pipeline, from raw images in host memory; from files where
        the variant's `images` are `encoded`, and only there.
        """

    @abstractmethod
    def start_loading(self, images: np.ndarray | ImageFiles, labels: np.ndarray, order: Order) -> Training:
        """As `start`, but the batches of the input pipeline are discarded, and nothing is trained: the loss is 0."""

    @abstractmethod
    def start_on_device(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """Begin training on batches that are preprocessed and on the device before this returns.

        The order's batches repeat without end, so a few of them are enough for any number of steps.
        """

    @abstractmethod
    def start_on_features(self, features: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """Begin training the head on pooled features (n, d) float32, as `features` computes them."""

    @abstractmethod
    def head_logits(self, features: np.ndarray) -> np.ndarray:
        """Class scores (n, c) float32 of pooled features (n, d)."""

    @abstractmethod
    def head(self) -> Head:
        """The head's current values."""

    @abstractmethod
    def parameters(self) -> dict[str, np.ndarray]:
        """The current values of all tensors of the backbone, named and laid out as in `Backbone.tensors`."""

    @abstractmethod
    def reset(self, head: Head | None = None) -> None:
        """Restore the checkpoint and the initial head, and clear the momentum. A `head` replaces the initial head."""

    @abstractmethod
    def reset_device_memory(self) -> None:
        """Restart the framework's peak counters; does nothing without a GPU."""

    @abstractmethod
    def device_memory(self) -> DeviceMemory | None:
        """The framework's peak counters; None without a GPU."""


class Backend(ABC):
    """One framework. Importing its module imports the framework, but does not configure it."""

    name: str

    @abstractmethod
    def describe_build(self) -> dict[str, str]:
        """How the framework was built, by its own configuration: compiler, libraries and CUDA."""

    def join(self, group: Group, variant: Variant) -> None:
        """Join the processes that train one case together; called once, before anything is built.

        From then on the harness calls the same functions in the same order in all processes, with the same arguments.
        What trains (`step`, `start`, `start_on_device`, `start_on_features`) and `loss_and_gradient` take the whole
        batches, use this process' share of them (`Order.share`), and return the loss of this share; a framework whose
        own loop reports only the loss of whole batches returns that, but for `loss_and_gradient`. Gradients are
        averaged over all processes by the framework's own means. `start_loading` loads this process' share. Everything
        else is computed in every process, on all that is given; but features to be cached are extracted by process 0
        alone (`make_extractor`), and so are kernels and profiles. The variant is this process' own: its threads are
        this process' share, and its device on GPUs is `cuda:N`.

        Raises:
            UnsupportedVariant: the backend cannot train on several devices. Those that can have `several_devices` in
                their entry.
        """
        raise UnsupportedVariant(f"{self.name} cannot train on several devices: use --devices 1")

    def leave(self) -> None:
        """Leave the group; called once, before the process ends."""
        return None

    @abstractmethod
    def build(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> Trainer:
        """A trainer that starts from `checkpoint` (as `Backbone.tensors`) and `head`.

        Raises:
            UnsupportedVariant: the framework cannot execute the variant.
        """

    def evaluate_network(self, graph: NetworkGraph, tensors: Tensors, images: np.ndarray) -> np.ndarray:
        """Features (n, d) float32 of a network that was exported as a neutral graph, built with this framework's own
        operations.

        Args:
            tensors: that the graph names.
            images: network inputs (n, height, width, channels) float32.

        Raises:
            UnsupportedVariant: the backend builds no exported networks.
        """
        raise UnsupportedVariant(f"{self.name} builds no exported networks")

    @abstractmethod
    def kernel(self, kernel: Kernel, variant: Variant) -> Callable[[int], object]:
        """The framework's own version of a kernel, ready to run on the variant's device, with its arrays there. A
        trainer of the variant was built in this process before, which set threads, device and flags.

        Returns:
            A function that runs the kernel a number of times, and returns once the device is done.
        """

    @abstractmethod
    def profile(self, run: Callable[[], object], folder: str) -> list[Event]:
        """All events that the framework's own profiler records while `run` is called.

        Args:
            run: returns once the device is done.
            folder: empty; for a profiler that reports through a file.
        """
