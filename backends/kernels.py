"""Kernels: the single operations by which a machine's rates are measured. Each framework runs its own version."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from backends.convolutions import Convolution

#: A pass of a convolution: `forward` computes the output, `weight_gradient` the gradient of the weights from the input
#: and the output's gradient, `input_gradient` the gradient of the input from the weights and the output's gradient.
ConvolutionPass = Literal["forward", "weight_gradient", "input_gradient"]


@dataclass(frozen=True)
class Gemm:
    """The product of two matrices (side, side): 2 side³ FLOP. It is in tf32 only if the variant is."""

    side: int
    precision: str


@dataclass(frozen=True)
class Convolutions:
    """A network's convolutions, one after the other with nothing between them, each on its own arrays, in a variant's
    precision and layout. A training step of the network also runs each of them once.
    """

    calls: tuple[tuple[Convolution, ConvolutionPass], ...]
    batch: int


@dataclass(frozen=True)
class Addition:
    """One float32 array added to another in place. Each has `size` bytes; two are read and one is written.

    A copy would measure the same, but TensorFlow shares memory instead of copying it where it can.
    """

    size: int


@dataclass(frozen=True)
class SmallOperations:
    """A chain of `count` operations on one number, each of which needs the one before: their time is dispatch. `count`
    is even.
    """

    count: int


Kernel = Gemm | Convolutions | Addition | SmallOperations
