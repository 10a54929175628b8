"""Single convolutions in PyTorch, in every form that may be the quickest."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from tests.yardsticks.extraction_in_worker import Convolution

LAYOUTS = {"nchw": torch.contiguous_format, "nhwc": torch.channels_last}
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def forms(one: Convolution, batch: int, precision: str) -> Iterator[tuple[str, Callable[[], object]]]:
    """Eager and frozen in both layouts, and as a product of the whole map where it is no larger than the kernel."""
    dtype = DTYPES[precision]
    for name, layout in LAYOUTS.items():
        convolution = torch.nn.Conv2d(one.into, one.out, one.kernel, one.stride, one.kernel // 2)
        convolution = convolution.requires_grad_(False).eval().to(dtype=dtype, memory_format=layout)
        images = torch.randn(batch, one.into, one.side, one.side).to(dtype=dtype, memory_format=layout)
        yield name, _without_gradients(convolution, images)
        yield f"{name} frozen", _frozen(convolution, images)
    if one.kernel >= one.side:
        into, out = one.side**2 * one.into, one.after**2 * one.out
        values = torch.randn(batch, into).to(dtype)
        yield "product", _without_gradients(torch.nn.Linear(into, out).requires_grad_(False).to(dtype), values)
        pixels = torch.nn.Conv2d(into, out, 1).requires_grad_(False).eval().to(dtype=dtype)
        as_image = values.t()[None, :, :, None]
        yield "product, the batch as pixels", _frozen(pixels.to(memory_format=torch.channels_last), as_image)


def _frozen(module: torch.nn.Module, inputs: torch.Tensor) -> Callable[[], object]:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return _without_gradients(torch.jit.optimize_for_inference(torch.jit.trace(module, inputs)), inputs)


def _without_gradients(module: Callable[[torch.Tensor], torch.Tensor], inputs: torch.Tensor) -> Callable[[], object]:
    return partial(torch.inference_mode()(module.__call__), inputs)
