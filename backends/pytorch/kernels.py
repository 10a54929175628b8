"""Single operations, to measure the machine's rates by."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from backends.convolutions import Convolution
from backends.kernels import Addition, Convolutions, Gemm, Kernel, Pass
from backends.knobs import value_of
from backends.pytorch import device as devices
from backends.pytorch.model import DTYPES, FORMATS
from backends.task import Variant


def build(kernel: Kernel, variant: Variant) -> Callable[[int], object]:
    """See `Backend.kernel`."""
    device = torch.device(variant.device)
    once = _once(kernel, variant, device)

    def run(times: int) -> None:
        with torch.no_grad():
            for _ in range(times):
                once()
        devices.wait(device)

    return run


def _once(kernel: Kernel, variant: Variant, device: torch.device) -> Callable[[], object]:
    if isinstance(kernel, Gemm):
        shape = (kernel.side, kernel.side)
        a, b = (_numbers(shape, device).to(DTYPES[kernel.precision]) for _ in range(2))
        out = torch.empty_like(a)
        return lambda: torch.mm(a, b, out=out)
    if isinstance(kernel, Addition):
        total, part = (_numbers((kernel.size // 4,), device) for _ in range(2))
        return lambda: total.add_(part)
    if isinstance(kernel, Convolutions):
        calls = [_convolution(layer, what, kernel.batch, variant, device) for layer, what in kernel.calls]
        return lambda: [call() for call in calls]
    return _small(kernel.count, device)


def _convolution(
    layer: Convolution, what: Pass, batch: int, variant: Variant, device: torch.device
) -> Callable[[], object]:
    """One pass of a convolution. Padding that differs from one side to the other is an operation of its own, as in
    timm's `Conv2dSame`.
    """

    def images(channels: int, side: int) -> torch.Tensor:
        form = {"dtype": DTYPES[variant.precision], "memory_format": FORMATS[value_of("pytorch", variant, "layout")]}
        return _numbers((batch, channels, side, side), device).to(**form)

    inputs = images(layer.into, layer.side)
    weights = _numbers(layer.weights, device).to(inputs.dtype)
    weights = weights.to(memory_format=FORMATS[value_of("pytorch", variant, "layout")])
    outputs = images(layer.out, layer.out_side)
    even = layer.before == layer.after
    padding = [layer.before] * 2 if even else [0, 0]

    def padded() -> torch.Tensor:
        return inputs if even else torch.nn.functional.pad(inputs, [layer.before, layer.after] * 2)

    if what == "forward":
        return lambda: torch.conv2d(padded(), weights, None, layer.stride, padding, 1, layer.groups)
    wanted = [what == "input_gradient", what == "weight_gradient", False]
    stride = [layer.stride] * 2
    return lambda: torch.ops.aten.convolution_backward(
        outputs, padded(), weights, None, stride, padding, [1, 1], False, [0, 0], layer.groups, wanted
    )


def _numbers(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Numbers of -1 to 1, for a GPU is quicker where all are the same; nothing is drawn."""
    return torch.linspace(-1, 1, math.prod(shape), device=device).reshape(shape)


def _small(count: int, device: torch.device) -> Callable[[], object]:
    number = torch.zeros(1, device=device)

    def chain() -> None:
        value = number
        for _ in range(count // 2):
            value = torch.tanh(value) + number

    return chain
