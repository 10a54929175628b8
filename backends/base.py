"""The contract between the harness and a framework. This file is all that a new backend has to know.

NumPy in, NumPy out. A backend opens no file, reads no clock, prints nothing and draws nothing at random: the
harness hands it the checkpoint's tensors, the head's initial values and the order of images, and measures it
from outside. Shapes: n images of h x w pixels; d features; c classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from backends.kernels import Kernel
from backends.task import Task, Variant

Tensors = Mapping[str, np.ndarray]


class UnsupportedVariant(Exception):
    """The backend cannot execute this variant; the message says which knob and what it accepts."""


class Head(NamedTuple):
    """The new last layer, or its gradient: kernel (d, c) and bias (c,), float32."""

    kernel: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Order:
    """Which image is trained on when: one permutation of the training images per epoch, (epochs, n) int64."""

    permutations: np.ndarray
    batch_size: int
    drop_last: bool

    @property
    def steps_per_epoch(self) -> int:
        """Batches in one epoch."""
        whole, rest = divmod(self.permutations.shape[1], self.batch_size)
        return whole + (1 if rest and not self.drop_last else 0)

    @property
    def steps(self) -> int:
        """Batches in all epochs."""
        return self.steps_per_epoch * len(self.permutations)

    def batches(self) -> Iterator[np.ndarray]:
        """The image indices of each batch, epoch after epoch."""
        for permutation in self.permutations:
            for step in range(self.steps_per_epoch):
                yield permutation[step * self.batch_size : (step + 1) * self.batch_size]

    def padded(self) -> tuple[np.ndarray, np.ndarray]:
        """The batches as one array (steps, batch size) int64, and which of it is there: a partial batch is filled up
        with image 0, where the second array, bool, is False.
        """
        width = self.steps_per_epoch * self.batch_size
        taken = self.permutations[:, :width]
        indices = np.zeros((len(taken), width), np.int64)
        there = np.zeros(indices.shape, bool)
        indices[:, : taken.shape[1]], there[:, : taken.shape[1]] = taken, True
        return indices.reshape(-1, self.batch_size), there.reshape(-1, self.batch_size)


@dataclass(frozen=True)
class Resolved:
    """What a variant became on this machine: nothing that a framework chose by itself stays unsaid."""

    framework: str
    versions: Mapping[str, str]
    device: str
    execution: str
    jit: str
    layout: str
    precision: str
    intra_op_threads: int
    inter_op_threads: int
    input_pipeline: str
    flags: Mapping[str, str]


class DeviceMemory(NamedTuple):
    """Peak bytes by the framework's own counters since `reset_device_memory`; reserved is None where not counted."""

    allocated: int
    reserved: int | None


class Event(NamedTuple):
    """Something that a framework's profiler saw.

    Attributes:
        name: of the operation, the kernel, or whatever it was.
        place: where it ran: a device, a thread or a stream, as a person reads it. Events of one place nest.
        on_device: whether it ran on an accelerator.
        start_us, duration_us: in microseconds; the start is relative to whatever the profiler counts from.
    """

    name: str
    place: str
    on_device: bool
    start_us: float
    duration_us: float


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
        return [in_batches(self.features, images, self.task) for images in several]

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


#: Pixels of a batch that features are extracted in, 256 images of 32 px, and the fewest images. On a core of an AMD
#: EPYC ResNet-18 at 32 px in bf16 had, by CPU time, 4,768, 5,653, 6,013 and 5,181 images/s with 64, 128, 256 and 512 in
#: PyTorch, and 5,209, 5,642, 6,280 and 6,442 in TensorFlow.
EXTRACTION_PIXELS, FEWEST_EXTRACTED = 256 * 32**2, 32


def in_batches(features: Callable[[np.ndarray], np.ndarray], images: np.ndarray, task: Task) -> np.ndarray:
    """The features (n, d) float32 of all images, batch by batch."""
    size = max(FEWEST_EXTRACTED, EXTRACTION_PIXELS // task.image_size**2)
    found = np.empty((len(images), task.network.features), np.float32)
    for at in range(0, len(images), size):
        found[at : at + size] = features(images[at : at + size])
    return found


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
