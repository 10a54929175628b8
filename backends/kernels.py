"""Kernels: the single operations by which a machine's rates are measured, each as a framework itself has it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from backends.convolutions import Convolution

#: What is computed of a convolution: its output; its weights' gradient, from input and output's gradient; or its
#: input's gradient, from weights and output's gradient.
Pass = Literal["forward", "weight_gradient", "input_gradient"]


@dataclass(frozen=True)
class Gemm:
    """The product of two matrices (side, side): 2 side³ FLOP. In tf32 just where the variant is, which allows it."""

    side: int
    precision: str


@dataclass(frozen=True)
class Convolutions:
    """Convolutions one after the other and with nothing between them, each on arrays of its own, in the precision and
    the layout of a variant. A step of a network runs each of them once, too.
    """

    calls: tuple[tuple[Convolution, Pass], ...]
    batch: int


@dataclass(frozen=True)
class Addition:
    """One array of float32 added to another in place: of `size` bytes each, two are read and one is written.

    A plain copy would tell the same, but TensorFlow shares what it can instead of copying it.
    """

    size: int


@dataclass(frozen=True)
class Small:
    """`count` operations on one number each, an even number of them, of which each needs the one before it: what they
    take is dispatch.
    """

    count: int


Kernel = Gemm | Convolutions | Addition | Small
