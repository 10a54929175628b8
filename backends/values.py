"""The values that harness and backend exchange: head, order of images, resolved variant, memory, profile events."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

Tensors = Mapping[str, np.ndarray]


class UnsupportedVariant(Exception):
    """The backend cannot execute this variant; the message names the knob and what to use."""


class Head(NamedTuple):
    """The new last layer, or its gradient: kernel (d, c) and bias (c,), float32."""

    kernel: np.ndarray
    bias: np.ndarray


@dataclass(frozen=True)
class Order:
    """The order in which images are trained on, and how each of them is augmented in each epoch.

    Attributes:
        permutations: one permutation of the training images per epoch, (epochs, n) int64.
        batch_size: images in a batch.
        drop_last: whether the last, partial batch of an epoch is dropped.
        augmentations: a row (c,) float32 per epoch and image, (epochs, n, c), with the columns of
            `backends.augmentation`; None for a task that augments nothing. An order that has more epochs begins with
            the first again.
    """

    permutations: np.ndarray
    batch_size: int
    drop_last: bool
    augmentations: np.ndarray | None = None

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

    def augmented_batches(self) -> Iterator[tuple[np.ndarray, ...]]:
        """The image indices (b,) of each batch, followed by its rows (b, c) where images are augmented."""
        if self.augmentations is None:
            yield from ((batch,) for batch in self.batches())
            return
        rows, images = self.rows, self.augmentations.shape[1]
        yield from ((numbers % images, rows[numbers]) for numbers in self.number_rows().batches())

    def number_rows(self) -> Order:
        """The same order, with the number of each image's row among `rows` in place of the image. A row's number,
        divided by the number of images, leaves the image.

        Raises:
            ValueError: images are not augmented.
        """
        if self.augmentations is None:
            raise ValueError("images that are not augmented have no rows")
        epochs, images, _ = self.augmentations.shape
        first = np.arange(len(self.permutations)) % epochs * images
        return replace(self, permutations=self.permutations + first[:, None])

    @property
    def rows(self) -> np.ndarray:
        """The rows of all epochs, (epochs * n, c) float32.

        Raises:
            ValueError: images are not augmented.
        """
        if self.augmentations is None:
            raise ValueError("images that are not augmented have no rows")
        return self.augmentations.reshape(-1, self.augmentations.shape[-1])

    def padded(self) -> tuple[np.ndarray, np.ndarray]:
        """All batches in one array (steps, batch size) int64, and a mask of the same shape, bool. A partial batch is
        padded with image 0, where the mask is False.
        """
        width = self.steps_per_epoch * self.batch_size
        used = self.permutations[:, :width]
        indices = np.zeros((len(used), width), np.int64)
        mask = np.zeros(indices.shape, bool)
        indices[:, : used.shape[1]], mask[:, : used.shape[1]] = used, True
        return indices.reshape(-1, self.batch_size), mask.reshape(-1, self.batch_size)

    def share(self, group: Group) -> Order:
        """The part of this order that one process of a group trains on: of every batch the same number of images.

        Raises:
            ValueError: a batch, or a last partial batch that is kept, cannot be divided by the group's size.
        """
        if group.size == 1:
            return self
        epochs, images = self.permutations.shape
        used = self.permutations[:, : images - images % self.batch_size if self.drop_last else images]
        if self.batch_size % group.size or used.shape[1] % group.size:
            raise ValueError(f"batches of {self.batch_size} images, {used.shape[1]} in all, for {group.size} processes")
        shares = [
            batch.reshape(epochs, group.size, -1)[:, group.rank]
            for batch in np.split(used, range(self.batch_size, used.shape[1], self.batch_size), axis=1)
        ]
        own = np.concatenate(shares, axis=1)
        return replace(self, permutations=own, batch_size=self.batch_size // group.size)


def check_labels(labels: np.ndarray, classes: int) -> None:
    """Refuse labels (n,) that are not a class, where the framework does not: the loss of one is NaN in JAX, and a
    number as any other in Keras on JAX.

    Raises:
        ValueError: one is negative, or too large.
    """
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(f"label {wrong} is not one of the {classes} classes (0 to {classes - 1})")


class Group(NamedTuple):
    """The processes that train one case together, one for each device.

    Attributes:
        rank: the number of this process, from 0. The harness measures process 0.
        size: number of processes.
        address: `HOST:PORT` where they meet; process 0 listens there.
        local_rank: the number of this process among those of its machine: the index of its device.
    """

    rank: int = 0
    size: int = 1
    address: str = ""
    local_rank: int = 0

    def take(self, batch: np.ndarray) -> np.ndarray:
        """This process' share of a batch: equally many neighbours of its rows.

        Raises:
            ValueError: the batch cannot be divided by the group's size.
        """
        each, rest = divmod(len(batch), self.size)
        if rest:
            raise ValueError(f"a batch of {len(batch)} images for {self.size} processes")
        return batch[self.rank * each : (self.rank + 1) * each]

    @property
    def host(self) -> str:
        """The host of the address."""
        return self.address.rpartition(":")[0]

    @property
    def port(self) -> int:
        """The port of the address; so many ports from it on are free as there are processes."""
        return int(self.address.rpartition(":")[2])


@dataclass(frozen=True)
class Resolved:
    """How a variant runs on this machine, with all that the framework chose itself."""

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
    """One event of a framework's profiler.

    Attributes:
        name: of the operation or the kernel, for example.
        place: the device, thread or stream that it ran on, for people. Events of one place nest.
        on_device: whether it ran on an accelerator.
        start_us, duration_us: in microseconds; the start is relative to the profiler's own origin.
    """

    name: str
    place: str
    on_device: bool
    start_us: float
    duration_us: float
