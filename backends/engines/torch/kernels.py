"""PyTorch's version of the kernels by which a machine's rates are measured."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from backends.convolutions import Convolution
from backends.engines.torch.device import DTYPES, MEMORY_FORMATS, synchronize
from backends.kernels import Addition, ConvolutionPass, Convolutions, Gemm, Kernel
from backends.knobs import get_value
from backends.task import Variant


def build(kernel: Kernel, variant: Variant, backend: str) -> Callable[[int], object]:
    """See `Backend.kernel`; convolutions are in the layout of this backend."""
    device = torch.device(variant.device)
    call = _make_call(kernel, variant, device, get_value(backend, variant, "layout"))

    def run(times: int) -> None:
        with torch.no_grad():
            for _ in range(times):
                call()
        synchronize(device)

    return run


def _make_call(kernel: Kernel, variant: Variant, device: torch.device, layout: str) -> Callable[[], object]:
    if isinstance(kernel, Gemm):
        shape = (kernel.side, kernel.side)
        a, b = (_make_array(shape, device).to(DTYPES[kernel.precision]) for _ in range(2))
        out = torch.empty_like(a)
        return lambda: torch.mm(a, b, out=out)
    if isinstance(kernel, Addition):
        total, part = (_make_array((kernel.size // 4,), device) for _ in range(2))
        return lambda: total.add_(part)
    if isinstance(kernel, Convolutions):
        calls = [_make_convolution(layer, what, kernel.batch, variant, device, layout) for layer, what in kernel.calls]
        return lambda: [call() for call in calls]
    return _make_chain(kernel.count, device)


def _make_convolution(
    layer: Convolution, what: ConvolutionPass, batch: int, variant: Variant, device: torch.device, layout: str
) -> Callable[[], object]:
    """One pass of a convolution. Padding that differs between the sides is a separate operation, as in timm's
    `Conv2dSame`.
    """

    def images(channels: int, side: int) -> torch.Tensor:
        form = {"dtype": DTYPES[variant.precision], "memory_format": MEMORY_FORMATS[layout]}
        return _make_array((batch, channels, side, side), device).to(**form)

    inputs = images(layer.in_channels, layer.side)
    weights = _make_array(layer.weights, device).to(inputs.dtype)
    weights = weights.to(memory_format=MEMORY_FORMATS[layout])
    outputs = images(layer.out_channels, layer.out_side)
    even = layer.pad_before == layer.pad_after
    padding = [layer.pad_before] * 2 if even else [0, 0]

    def padded() -> torch.Tensor:
        return inputs if even else torch.nn.functional.pad(inputs, [layer.pad_before, layer.pad_after] * 2)

    if what == "forward":
        return lambda: torch.conv2d(padded(), weights, None, layer.stride, padding, 1, layer.groups)
    output_mask = [what == "input_gradient", what == "weight_gradient", False]
    stride = [layer.stride] * 2
    return lambda: torch.ops.aten.convolution_backward(
        outputs, padded(), weights, None, stride, padding, [1, 1], False, [0, 0], layer.groups, output_mask
    )


def _make_array(shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Numbers from -1 to 1. They differ, because a GPU is faster on equal numbers; none is drawn at random."""
    return torch.linspace(-1, 1, math.prod(shape), device=device).reshape(shape)


def _make_chain(count: int, device: torch.device) -> Callable[[], object]:
    number = torch.zeros(1, device=device)

    def chain() -> None:
        value = number
        for _ in range(count // 2):
            value = torch.tanh(value) + number

    return chain
