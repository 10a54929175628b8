"""What the harness and a backend hand each other: the head, the order of images, and what a backend tells of itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

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
