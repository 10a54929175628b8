"""The contract between the harness and a framework: with `backends.values`, all that a new backend has to know.

NumPy in, NumPy out. A backend opens no file (but for a profile, where the framework writes one into a folder that it
is given), reads no clock, prints nothing and draws nothing at random: the harness hands it the checkpoint's tensors,
the head's initial values and the order of images, and measures it from outside. Shapes: n images of h x w pixels; d
features; c classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from backends import extraction
from backends.kernels import Kernel
from backends.task import Task, Variant
from backends.values import DeviceMemory, Event, Head, Order, Resolved, Tensors


class Training(ABC):
    """Training under way over an `Order`. It rests between calls: the harness decides when it moves on."""

    @abstractmethod
    def advance(self, steps: int) -> float:
        """Train on the next `steps` batches; return their mean loss per image once the device is done.

        Raises:
            StopIteration: the order has fewer than `steps` batches left.
        """

    @abstractmethod
    def close(self) -> None:
        """Stop the input pipeline and free what it holds. Closing twice is allowed."""


class Trainer(ABC):
    """A task, built: a backbone, frozen but for what the task trains, and a head, on a device.

    Images are (n, h, w, 3) uint8, raw.
    """

    task: Task
    resolved: Resolved

    @abstractmethod
    def preprocess(self, images: np.ndarray) -> np.ndarray:
        """Network inputs (n, image_size, image_size, 3) float32: scaled to 0..1, resized, normalised."""

    @abstractmethod
    def features(self, images: np.ndarray) -> np.ndarray:
        """Pooled features (n, d) float32 of one batch, computed as in a training step."""

    def extract(self, *several: np.ndarray) -> list[np.ndarray]:
        """Pooled features (n, d) float32 of several arrays of images, in the quickest form that the backend has.

        It is called once, batch norm being `frozen`. Of the variant it keeps precision and device; how it is executed,
        folded and laid out is the backend's choice, and features agree with those of `features` as the proof asks.
        """
        return [extraction.in_batches(self.features, images, self.task) for images in several]

    @abstractmethod
    def logits(self, images: np.ndarray) -> np.ndarray:
        """Class scores (n, c) float32 of one batch.

        In batch-norm mode `batch_stats` the batch's own statistics normalise it, and move the running ones, as
        in a PyTorch model that is never put in eval mode.
        """

    @abstractmethod
    def loss_and_gradient(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, Head]:
        """Mean cross-entropy of one batch and its gradient with respect to the head; changes no parameter."""

    def backbone_gradient(self, images: np.ndarray, labels: np.ndarray) -> dict[str, np.ndarray]:
        """That loss' gradient with respect to the backbone's trained tensors, `task.trained`, named and laid out as in
        `Backbone.tensors`. A backend that trains heads alone has none.
        """
        return {}

    @abstractmethod
    def step(self, images: np.ndarray, labels: np.ndarray) -> float:
        """One training step on one batch; returns its mean loss, as it was before the update."""

    @abstractmethod
    def start(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """Begin training through the framework's own input pipeline, from raw images in host memory."""

    @abstractmethod
    def start_loading(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """As `start`, but batches are taken from the input pipeline and trained on by nobody: the loss is 0."""

    @abstractmethod
    def start_on_device(self, images: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """Begin training on batches that are preprocessed and on the device before this returns.

        It goes round the order's batches without end, so a few of them serve any number of steps.
        """

    @abstractmethod
    def start_on_features(self, features: np.ndarray, labels: np.ndarray, order: Order) -> Training:
        """Begin training the head alone, on pooled features (n, d) float32 as `features` computes them."""

    @abstractmethod
    def head_logits(self, features: np.ndarray) -> np.ndarray:
        """Class scores (n, c) float32 of pooled features (n, d)."""

    @abstractmethod
    def head(self) -> Head:
        """The head as it is now."""

    @abstractmethod
    def parameters(self) -> dict[str, np.ndarray]:
        """Every tensor of the backbone as it is now, named and laid out as in `Backbone.tensors`."""

    @abstractmethod
    def reset(self, head: Head | None = None) -> None:
        """Back to the start: checkpoint, initial head (or `head` from now on), no momentum."""

    @abstractmethod
    def reset_device_memory(self) -> None:
        """Restart the framework's peak counters; nothing to do without a GPU."""

    @abstractmethod
    def device_memory(self) -> DeviceMemory | None:
        """The framework's peak counters; None where there is no GPU."""


class Backend(ABC):
    """One framework. Importing its module imports the framework and sets it up for nothing yet."""

    name: str

    @abstractmethod
    def about(self) -> dict[str, str]:
        """How the framework was built: what its own configuration says of compiler, libraries and CUDA."""

    @abstractmethod
    def build(self, task: Task, variant: Variant, checkpoint: Tensors, head: Head) -> Trainer:
        """A trainer that starts from `checkpoint` (as `Backbone.tensors`) and `head`.

        Raises:
            UnsupportedVariant: the framework cannot do what the variant asks.
        """

    @abstractmethod
    def kernel(self, kernel: Kernel, variant: Variant) -> Callable[[int], object]:
        """A kernel as the framework has it, ready to run on the variant's device on arrays that lie there. A trainer of
        the variant was built in this process, which set threads, device and flags.

        Returns:
            A function that runs it so many times, and returns once the device is done.
        """

    @abstractmethod
    def profile(self, run: Callable[[], object], folder: str) -> list[Event]:
        """Everything that the framework's own profiler sees while `run` is called.

        Args:
            run: returns once the device is done.
            folder: empty, for a profiler that can hand over what it saw just as a file.
        """
